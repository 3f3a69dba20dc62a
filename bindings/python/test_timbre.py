"""Run with the package installed: python -I test_timbre.py. Writes to a folder that it removes."""

import os
import pathlib
import tempfile
import threading
import unittest
import wave

import numpy as np
import timbre

RATE = 44100


def noise(seconds, channels=2):
    return np.random.default_rng(1).uniform(-0.5, 0.5, (channels, int(seconds * RATE))).astype(np.float32)


class Timbre(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        with wave.open("song.wav", "wb") as file:
            file.setparams((2, 2, RATE, 0, "NONE", ""))
            file.writeframes((noise(3).T * 32767).astype("<i2").tobytes())

    def test_what_there_is(self):
        self.assertRegex(timbre.version(), r"^\d+\.\d+\.\d+$")
        self.assertEqual(timbre.devices()[0]["device"], "cpu")
        self.assertIn("hpss", [model["name"] for model in timbre.models()])
        self.assertIn("separate", timbre.job_kinds())

    def test_an_array_becomes_arrays_of_its_shape(self):
        separator = timbre.Separator("hpss")
        self.assertEqual(separator.stems, ["harmonic", "percussive"])
        for mix in (noise(0.5), noise(0.5, 1)[0], noise(0.5)[:, ::2]):
            stems = separator.run(mix, RATE)
            for samples in stems.values():
                self.assertEqual((samples.shape, samples.dtype), (mix.shape, np.float32))
            self.assertGreater(float(np.abs(sum(stems.values())).max()), 0.1)

    def test_at_another_rate(self):
        stems = timbre.separate(noise(0.5), 22050, model="hpss")
        self.assertEqual(stems["harmonic"].shape, (2, RATE // 2))

    def test_a_job_writes_files_and_reports(self):
        events = []
        report = timbre.run("separate", [pathlib.Path("song.wav")], events.append, model="hpss", output="out")
        for output in report["tracks"][0]["outputs"]:
            self.assertTrue(os.path.exists(output["path"]))
        self.assertIn("progress", {event["event"] for event in events})

    def test_one_path_is_one_input_and_paths_are_options(self):
        for song in ("song.wav", pathlib.Path("song.wav")):
            report = timbre.run("separate", song, model="hpss", output=pathlib.Path("out"))
            self.assertEqual([track["input"] for track in report["tracks"]], ["song.wav"])

    def test_samples_are_floating_point_numbers(self):
        self.assertEqual(timbre.separate(noise(0.1).astype(np.float64), float(RATE), model="hpss")["harmonic"].dtype, np.float32)
        for samples in (np.zeros((2, 100), np.int16), np.zeros((2, 100), np.complex64), [[1, 2], [3, 4]], ["x"]):
            with self.assertRaisesRegex(TypeError, "full scale is 1"):
                timbre.separate(samples, RATE, model="hpss")
        with self.assertRaisesRegex(ValueError, "whole number"):
            timbre.separate(noise(0.1), 44100.5, model="hpss")

    def test_errors_are_exceptions(self):
        with self.assertRaisesRegex(timbre.TimbreError, "no option 'modell'.*'model'"):
            timbre.Job("separate", ["song.wav"], modell="x")
        with self.assertRaisesRegex(timbre.TimbreError, "gone.wav") as raised:
            timbre.run("separate", ["gone.wav"], model="hpss")
        self.assertEqual(raised.exception.report["error"]["kind"], "not found")
        with self.assertRaises(timbre.TimbreError):
            timbre.Separator("no-such-model")
        with self.assertRaises(timbre.TimbreError):
            timbre.separate(noise(0.1, 3), RATE, model="hpss")
        with self.assertRaises(ValueError):
            timbre.separate(np.zeros((1, 2, 3)), RATE, model="hpss")

    def test_cancel_from_another_thread_and_by_what_an_event_raises(self):
        job = timbre.Job("separate", ["song.wav"], model="hpss", segment=0.5, output="out")

        def cancel(event):
            if event["event"] == "progress":
                thread = threading.Thread(target=job.cancel)
                thread.start()
                thread.join()

        with self.assertRaises(timbre.Cancelled):
            job.run(cancel)
        self.assertFalse(os.path.exists("out"))

        def refuse(event):
            if event["event"] == "progress":
                raise KeyError("enough")

        with self.assertRaises(KeyError):
            timbre.separate(noise(3), RATE, model="hpss", segment=0.5, on_event=refuse)
        self.assertFalse(os.path.exists("out"))


if __name__ == "__main__":
    unittest.main()

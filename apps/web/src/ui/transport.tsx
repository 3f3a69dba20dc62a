// Play, stop, where it is, loop and zoom, with the keys that do the same.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Player } from "../audio/player";
import { clockText } from "../model/format";
import type { TimeView } from "../model/timeline";
import { Dialog } from "./dialog";
import { Symbol } from "./symbols";

export const kKeys: [string, string][] = [
  ["Space", "Play or pause"],
  ["← →", "Five seconds back or on; with Shift one"],
  ["Home, End", "To the beginning, to the end"],
  ["a, b", "The loop's beginning, its end"],
  ["x", "No loop"],
  ["o", "The original, or the stems"],
  ["1 … 9", "Solo of a stem; with Shift its mute"],
  ["m", "The click on the beats, in the mixer"],
  ["+ −", "Closer, farther"],
  ["0", "All of it"],
  ["?", "These keys"],
];

// Whether a key belongs to what has the focus.
function isTaken(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return true;
  if (target.matches("textarea, select, input:not([type=range], [type=checkbox], [type=radio])")) return true;
  if (target.matches("input") && /^(Arrow|Home|End| )/.test(event.key)) return true;
  return event.key === " " && target.matches("button, a, summary");
}

interface TransportProps {
  player: Player;
  view: TimeView;
  original?: string; // what the original is called here
  pitch?: boolean; // whether it can be changed
  onDigit?: (digit: number, shift: boolean) => void;
  onClick?: () => void; // the metronome's
}

export function Transport({ player, view, original = "Original", pitch = false, onDigit, onClick }: TransportProps) {
  const at = useSignal(0);
  const help = useSignal(false);
  const rate = player.rate;
  const toggle = () => (player.playing.peek() ? player.pause() : void player.play());
  const mark = (which: "from" | "to") => {
    const here = Math.round(player.position());
    const loop = player.loop.peek();
    if (which === "from") player.setLoop({ from: here, to: loop && loop.to > here ? loop.to : player.frames });
    else player.setLoop({ from: loop && loop.from < here ? loop.from : 0, to: here });
  };
  useEffect(() => {
    const timer = setInterval(() => (at.value = player.position() / rate), 100);
    const keys = (event: KeyboardEvent) => {
      if (isTaken(event)) return;
      const step = (event.shiftKey ? 1 : 5) * rate;
      const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
      if (event.key === " ") toggle();
      else if (event.key === "ArrowLeft") player.seek(player.position() - step);
      else if (event.key === "ArrowRight") player.seek(player.position() + step);
      else if (event.key === "Home") player.seek(0);
      else if (event.key === "End") player.seek(player.frames);
      else if (event.key === "a") mark("from");
      else if (event.key === "b") mark("to");
      else if (event.key === "x") player.setLoop(null);
      else if (event.key === "o" && player.hasOriginal) player.original.value = !player.original.value;
      else if (event.key === "+" || event.key === "=") view.zoom(1.6, player.position());
      else if (event.key === "-") view.zoom(1 / 1.6, player.position());
      else if (event.key === "0") view.fit();
      else if (event.key === "m" && onClick) onClick();
      else if (event.key === "?") help.value = true;
      else if (digit && onDigit) onDigit(Number(digit), event.shiftKey);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => {
      clearInterval(timer);
      removeEventListener("keydown", keys);
    };
  }, [player, view, onDigit, onClick]);
  const total = player.frames / rate;
  const loop = player.loop.value;
  return (
    <div class="transport">
      <div class="line">
        <button type="button" class="icon" aria-label="To the beginning" title="To the beginning" onClick={() => player.seek(0)}>
          <Symbol name="start" />
        </button>
        <button type="button" class="primary icon" aria-label={player.playing.value ? "Pause" : "Play"} title="Space" onClick={toggle}>
          <Symbol name={player.playing.value ? "pause" : "play"} />
        </button>
        <span class="number clock">
          {clockText(at.value, 1)} <span class="quiet">/ {clockText(total, 1)}</span>
        </span>
      </div>
      <input
        class="grow"
        type="range"
        aria-label="Position"
        aria-valuetext={`${clockText(at.value)} of ${clockText(total)}`}
        min={0}
        max={total}
        step={0.1}
        value={at.value}
        onInput={(event) => player.seek(event.currentTarget.valueAsNumber * rate)}
      />
      <div class="line">
        {player.hasOriginal && (
          <button type="button" aria-pressed={player.original.value} title="o" onClick={() => (player.original.value = !player.original.value)}>
            {original}
          </button>
        )}
        <button type="button" aria-pressed={loop !== null} title="a and b set its ends, x takes it away" onClick={() => (loop ? player.setLoop(null) : player.setLoop({ from: Math.round(view.from.peek()), to: Math.round(view.to.peek()) }))}>
          <Symbol name="loop" />
          Loop
        </button>
        <label class="line">
          <span class="quiet">Speed</span>
          <select title={player.keepsPitch.value ? "The pitch stays" : "As a tape's: the pitch goes along"} value={String(player.speed.value)} onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}>
            {[0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2].map((speed) => (
              <option key={speed} value={String(speed)}>
                {speed} ×
              </option>
            ))}
          </select>
        </label>
        {pitch && (
          <>
            <label class="tick">
              <input type="checkbox" checked={player.keepsPitch.value} onChange={(event) => void player.setPitch(player.semitones.value, event.currentTarget.checked)} />
              Keep pitch
            </label>
            <label class="line">
              <span class="quiet">Transpose</span>
              <select title="All but drums, in semitones" value={String(player.semitones.value)} onChange={(event) => void player.setPitch(Number(event.currentTarget.value), player.keepsPitch.value)}>
                {Array.from({ length: 25 }, (_, i) => 12 - i).map((semitones) => (
                  <option key={semitones} value={String(semitones)}>
                    {semitones > 0 ? `+${semitones}` : semitones === 0 ? "0" : `−${-semitones}`}
                  </option>
                ))}
              </select>
            </label>
          </>
        )}
        <span class="group" role="group" aria-label="Zoom">
          <button type="button" class="icon" aria-label="Farther" title="−" onClick={() => view.zoom(1 / 1.6, player.position())}>
            <Symbol name="minus" />
          </button>
          <button type="button" class="icon" aria-label="All of it" title="0" onClick={() => view.fit()}>
            <Symbol name="fit" />
          </button>
          <button type="button" class="icon" aria-label="Closer" title="+" onClick={() => view.zoom(1.6, player.position())}>
            <Symbol name="plus" />
          </button>
        </span>
        <button type="button" class="icon plain" aria-label="Keys" title="?" onClick={() => (help.value = true)}>
          ?
        </button>
      </div>
      {(player.failure.value || player.waiting.value) && (
        <p class={player.failure.value ? "error" : "quiet"} role="status">
          {player.failure.value ? `${player.failure.value} It goes on as soon as the samples come.` : "Waiting for samples…"}
        </p>
      )}
      {loop && (
        <p class="quiet number">
          Loop {clockText(loop.from / rate, 2)} – {clockText(loop.to / rate, 2)}
        </p>
      )}
      {help.value && (
        <Dialog title="Keys" onClose={() => (help.value = false)}>
          <dl class="pad keys">
            {kKeys.map(([key, what]) => (
              <div key={key}>
                <dt>{key}</dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </Dialog>
      )}
    </div>
  );
}

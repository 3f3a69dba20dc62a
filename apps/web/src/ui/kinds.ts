// Kinds of jobs in words; of one that has no words here, its name.
const kWords: Record<string, string> = {
  separate: "Separate into stems",
  denoise: "Clean speech",
  master: "Master",
  loudness: "Measure loudness",
  join: "Join into one",
  combine: "Combine or mix",
  frames: "Latents to frames",
  drums: "Drums to MIDI",
  song: "Make a song",
  lyrics: "Write lyrics",
  notes: "Falling-notes video",
  style: "Compare styles",
  pull: "Fetch a model",
  score: "Compare with a reference",
};

export function kindText(kind: string): string {
  return kWords[kind] ?? kind.charAt(0).toUpperCase() + kind.slice(1);
}

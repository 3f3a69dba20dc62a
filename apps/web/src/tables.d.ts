// docs/notes.yaml, made a module by build.mjs.
declare module "timbre:lanes" {
  export interface Voice {
    note: number; // General MIDI
    name: string;
    shape: "box" | "ring" | "diamond" | "cross" | "bar";
  }
  export interface Lane {
    name: string;
    colour: string; // #RRGGBB
    voices: Voice[];
  }
  const lanes: Lane[];
  export default lanes;
}

// docs/presets.yaml, likewise.
declare module "timbre:presets" {
  export interface Preset {
    id: string;
    title: string;
    description: string;
  }
  const presets: Preset[];
  export default presets;
}

// What a set of sounds is played and looked at with: a player, the view of its time axis, a track a sound. The mixer, the
// comparison of speech and the drums are made of it.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { Player, type Track } from "../audio/player";
import { type Shape, shapeOf } from "../audio/sound";
import { sentence } from "../model/api";
import { TimeView } from "../model/timeline";

export interface Console {
  player: Player;
  view: TimeView;
  tracks: readonly Track[];
  original: string | null;
  shapes: ReadonlyMap<string, Shape>;
}

export interface Sound {
  asset: string;
  name: string;
}

export function trackOf({ asset, name }: Sound): Track {
  return { asset, name, gain: signal(0), pan: signal(0), mute: signal(false), solo: signal(false), factor: signal(1) };
}

export function contextAt(rate: number): AudioContext {
  try {
    return new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
  } catch {
    return new AudioContext(); // a rate that the browser doesn't have: the server brings the samples to its own
  }
}

// `key` says when the sounds are others; `more` are tracks that are no sounds of the server's.
export function useConsole(key: string, sounds: readonly Sound[], original: string | null, more: readonly Track[] = []): { console: Console | null; error: string } {
  const [state, setState] = useState<{ console: Console | null; error: string }>({ console: null, error: "" });
  useEffect(() => {
    if (sounds.length === 0) return undefined;
    let player: Player | null = null;
    let gone = false;
    const assets = [...new Set([...sounds.map((sound) => sound.asset), ...(original ? [original] : [])])];
    Promise.all(assets.map(async (asset) => [asset, await shapeOf(asset)] as const)).then(
      (list) => {
        if (gone) return;
        const shapes = new Map(list);
        const rate = shapes.get(sounds[0]!.asset)!.sample_rate;
        const context = contextAt(rate);
        const seconds = Math.max(...list.map(([, shape]) => shape.frames / shape.sample_rate));
        const frames = Math.round(seconds * context.sampleRate);
        const tracks = [...sounds.map(trackOf), ...more];
        player = new Player(context, tracks, frames, original);
        void player.prepare();
        setState({ console: { player, view: new TimeView(frames, context.sampleRate), tracks, original, shapes }, error: "" });
      },
      (problem) => !gone && setState({ console: null, error: sentence(problem) }),
    );
    return () => {
      gone = true;
      player?.dispose();
      setState({ console: null, error: "" });
    };
  }, [key]);
  return state;
}

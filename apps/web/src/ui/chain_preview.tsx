// A sound through a mastering chain while that is being changed, beside the sound as it is, at one level.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Player } from "../audio/player";
import { type SliceSource, shapeOf } from "../audio/sound";
import { sentence } from "../model/api";
import type { Chain } from "../model/chain";
import { clockText, dbText } from "../model/format";
import { contextAt, trackOf } from "./console";
import { Symbol } from "./symbols";

export interface Heard {
  key: string; // by which it is another
  name: string;
  asset: string; // or, where that is empty, these slices
  slices?: { source: SliceSource; frames: number; rate: number };
  from?: number; // seconds, where to begin
}

function Deck({ heard, chain }: { heard: Heard; chain: Chain }) {
  const player = useSignal<Player | null>(null);
  const at = useSignal(heard.from ?? 0);
  const problem = useSignal("");
  useEffect(() => {
    let made: Player | null = null;
    let gone = false;
    const open = async () => {
      const shape = heard.slices ? { sample_rate: heard.slices.rate, frames: heard.slices.frames } : await shapeOf(heard.asset);
      if (gone) return;
      const context = contextAt(shape.sample_rate);
      const track = { ...trackOf(heard), ...(heard.slices ? { slices: heard.slices.source } : {}) };
      made = new Player(context, [track], Math.round((shape.frames / shape.sample_rate) * context.sampleRate), heard.slices?.source ?? heard.asset);
      await made.setChain(chain);
      if (gone) return;
      made.seek((heard.from ?? 0) * made.rate);
      player.value = made;
      void made.play();
    };
    open().catch((error) => (problem.value = sentence(error)));
    const timer = setInterval(() => made && (at.value = made.position() / made.rate), 100);
    return () => {
      gone = true;
      clearInterval(timer);
      made?.dispose();
    };
  }, [heard.key]);
  useEffect(() => void player.value?.setChain(chain), [chain, player.value]);
  const now = player.value;
  const wrong = problem.value || now?.failure.value;
  if (!now) return <p class={wrong ? "error" : "quiet"}>{wrong || "Loading…"}</p>;
  const total = now.frames / now.rate;
  return (
    <div class="line" role="group" aria-label={`Preview of ${heard.name}`}>
      <button type="button" class="primary icon" aria-label={now.playing.value ? "Pause the preview" : "Play the preview"} onClick={() => (now.playing.peek() ? now.pause() : void now.play())}>
        <Symbol name={now.playing.value ? "pause" : "play"} />
      </button>
      <span class="number">{clockText(at.value, 1)}</span>
      <input class="grow" type="range" aria-label="Position of the preview" aria-valuetext={`${clockText(at.value)} of ${clockText(total)}`} min={0} max={total} step={0.1} value={at.value} onInput={(event) => now.seek(event.currentTarget.valueAsNumber * now.rate)} />
      <button type="button" aria-pressed={now.original.value} onClick={() => (now.original.value = !now.original.value)}>
        Without the chain
      </button>
      <span class="quiet">
        Both at one level; the chain changes it by <span class="number">{dbText(now.matched.value)}</span>
      </span>
      {wrong && (
        <p class="error" role="alert">
          {wrong}
        </p>
      )}
    </div>
  );
}

// Nothing is fetched, and no sound opened, until somebody wants to hear it.
export function ChainPreview({ heard, chain }: { heard: Heard; chain: Chain }) {
  const open = useSignal(false);
  return open.value ? (
    <Deck key={heard.key} heard={heard} chain={chain} />
  ) : (
    <div class="line">
      <button type="button" onClick={() => (open.value = true)}>
        <Symbol name="play" />
        Hear {heard.name} with it
      </button>
    </div>
  );
}

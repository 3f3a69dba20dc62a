// A track's fader, panorama, mute, solo and meter.
import type { Signal } from "@preact/signals";
import { type Player, type Track, kSilent } from "../audio/player";
import { dbText } from "../model/format";
import { Meter } from "./meter";

interface FaderProps {
  label: string;
  value: Signal<number>;
}

export function Fader({ label, value }: FaderProps) {
  return (
    <label class="fader">
      <span class="hidden">{label}</span>
      <input
        type="range"
        min={kSilent}
        max={6}
        step={0.5}
        value={value.value}
        aria-label={label}
        aria-valuetext={dbText(value.value)}
        title="Double-click: 0 dB"
        onInput={(event) => (value.value = event.currentTarget.valueAsNumber)}
        onDblClick={() => (value.value = 0)}
      />
      <span class="number quiet">{dbText(value.value)}</span>
    </label>
  );
}

function panText(pan: number): string {
  if (Math.abs(pan) < 0.01) return "centre";
  return `${Math.round(Math.abs(pan) * 100)} % ${pan < 0 ? "left" : "right"}`;
}

export function soloOnly(track: Track, tracks: readonly Track[]): void {
  const alone = track.solo.value && tracks.every((other) => other === track || !other.solo.value);
  for (const other of tracks) other.solo.value = other === track && !alone;
}

export function Strip({ track, index, player, tracks }: { track: Track; index: number; player: Player; tracks: readonly Track[] }) {
  return (
    <div class="strip" role="group" aria-label={track.name}>
      <div class="line">
        <h3 class="grow" title={track.name}>
          {track.name}
        </h3>
        <button type="button" class="letter" aria-pressed={track.mute.value} aria-label={`Mute ${track.name}`} title={`Mute (Shift+${index + 1})`} onClick={() => (track.mute.value = !track.mute.value)}>
          M
        </button>
        <button
          type="button"
          class="letter"
          aria-pressed={track.solo.value}
          aria-label={`Solo ${track.name}`}
          title={`Solo (${index + 1}); with Shift only this one`}
          onClick={(event) => (event.shiftKey ? soloOnly(track, tracks) : (track.solo.value = !track.solo.value))}
        >
          S
        </button>
      </div>
      <Fader label={`Level of ${track.name}`} value={track.gain} />
      <label class="fader">
        <span class="hidden">Panorama of {track.name}</span>
        <input
          type="range"
          min={-1}
          max={1}
          step={0.05}
          value={track.pan.value}
          aria-label={`Panorama of ${track.name}`}
          aria-valuetext={panText(track.pan.value)}
          title="Double-click: centre"
          onInput={(event) => (track.pan.value = event.currentTarget.valueAsNumber)}
          onDblClick={() => (track.pan.value = 0)}
        />
        <span class="number quiet">{panText(track.pan.value)}</span>
      </label>
      <Meter player={player} node={player.strips[index]!.meter} />
    </div>
  );
}

// How loud something is now, from -60 dB to full scale, with the greatest of the last second.
import { useEffect, useRef } from "preact/hooks";
import { type Player, peakOf } from "../audio/player";

const kFloor = -60; // dB
const kHold = 1000; // milliseconds

export function Meter({ player, node }: { player: Player; node: AnalyserNode }) {
  const bar = useRef<HTMLDivElement>(null);
  const mark = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // Who wants less motion gets four looks a second.
    const interval = matchMedia("(prefers-reduced-motion: reduce)").matches ? 250 : 0;
    let frame = 0;
    let last = 0;
    let held = 0;
    let heldAt = 0;
    const draw = (now: number) => {
      frame = requestAnimationFrame(draw);
      if (now - last < interval) return;
      last = now;
      const peak = player.playing.peek() ? peakOf(node) : 0;
      const share = Math.max(0, Math.min(1, 1 - (20 * Math.log10(Math.max(peak, 1e-6))) / kFloor));
      if (share >= held || now - heldAt > kHold) {
        held = share;
        heldAt = now;
      }
      if (bar.current) bar.current.style.transform = `scaleX(${share})`;
      if (mark.current) {
        mark.current.style.left = `${100 * held}%`;
        mark.current.classList.toggle("over", held >= 1);
      }
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [player, node]);
  return (
    <div class="meter" aria-hidden="true">
      <div class="bar" ref={bar} />
      <div class="mark" ref={mark} />
    </div>
  );
}

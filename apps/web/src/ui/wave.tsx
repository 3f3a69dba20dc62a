// The wave of a sound in the view that all lanes share, and what lies over it: ruler, loop, playhead, minimap.
import { useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Player } from "../audio/player";
import { shapeOf } from "../audio/sound";
import { colourOf, columnsOf, fit, paint } from "../draw/wave";
import { clockText } from "../model/format";
import { type TimeView, rulerStep } from "../model/timeline";

// Calls back when an element's size, the screen's fineness or the colours change.
export function useRedraw(element: { current: HTMLElement | null }, redraw: () => void): void {
  const latest = useRef(redraw);
  latest.current = redraw;
  useEffect(() => {
    const watch = new ResizeObserver(() => latest.current());
    if (element.current) watch.observe(element.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const again = () => latest.current();
    scheme.addEventListener("change", again);
    return () => {
      watch.disconnect();
      scheme.removeEventListener("change", again);
    };
  }, []);
}

interface WaveProps {
  asset: string;
  view: TimeView;
  whole?: boolean; // all of it, whatever is looked at
  faint?: boolean;
}

export function Wave({ asset, view, whole = false, faint = false }: WaveProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [error, setError] = useState("");
  const state = useRef({ drawing: false, again: false });
  const draw = async () => {
    const element = canvas.current;
    if (!element) return;
    // One drawing at a time; what changes meanwhile is drawn when it is done.
    if (state.current.drawing) {
      state.current.again = true;
      return;
    }
    state.current.drawing = true;
    try {
      do {
        state.current.again = false;
        const shape = await shapeOf(asset);
        const stretch = { from: whole ? 0 : view.from.peek(), to: whole ? view.frames : view.to.peek(), rate: view.rate };
        const width = Math.max(1, Math.round(element.clientWidth * (window.devicePixelRatio || 1)));
        const columns = await columnsOf(asset, shape, stretch, width);
        fit(element);
        paint(element, columns, colourOf(faint ? "--edge" : "--wave"));
      } while (state.current.again);
      setError("");
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    } finally {
      state.current.drawing = false;
    }
  };
  useSignalEffect(() => {
    void [view.from.value, view.to.value];
    requestAnimationFrame(() => void draw());
  });
  useEffect(() => void draw(), [asset, faint]);
  useRedraw(canvas, () => void draw());
  return (
    <>
      <canvas ref={canvas} class="wave" aria-hidden="true" />
      {error && <p class="error over-wave">{error}</p>}
    </>
  );
}

const kHandle = 8; // pixels about an end of the loop

interface StageProps {
  view: TimeView;
  player: Player;
  children: ComponentChildren;
}

// Everything that lies on the time axis: a click seeks, a drag on the ruler makes a loop, the wheel moves and, with Ctrl,
// zooms. The keyboard has keys for the same.
export function Stage({ view, player, children }: StageProps) {
  const stage = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLDivElement>(null);
  const ruler = useRef<HTMLCanvasElement>(null);
  const drag = useRef<number | null>(null);
  const frameAt = (x: number) => {
    const box = ruler.current!.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (x - box.left) / box.width));
    return view.from.peek() + share * (view.to.peek() - view.from.peek());
  };
  const drawRuler = () => {
    const element = ruler.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    fit(element);
    const ratio = element.width / Math.max(1, element.clientWidth);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, element.clientWidth, element.clientHeight);
    const from = view.from.value / view.rate;
    const to = view.to.value / view.rate;
    const loop = player.loop.value;
    if (loop) {
      context.fillStyle = colourOf("--accent");
      const left = view.share(loop.from) * element.clientWidth;
      const right = view.share(loop.to) * element.clientWidth;
      context.fillRect(left, element.clientHeight - 5, right - left, 5);
      for (const x of [left, right - 4]) context.fillRect(x, element.clientHeight - 14, 4, 14);
    }
    const step = rulerStep(to - from, element.clientWidth);
    const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
    context.fillStyle = context.strokeStyle = colourOf("--quiet");
    context.font = "12px system-ui, sans-serif";
    for (let i = Math.ceil(from / step); i * step <= to; ++i) {
      const x = ((i * step - from) / (to - from)) * element.clientWidth;
      context.fillRect(x, element.clientHeight - 8, 1, 8);
      const text = clockText(i * step, digits);
      if (x + 4 + context.measureText(text).width < element.clientWidth) context.fillText(text, x + 4, 13);
    }
  };
  useSignalEffect(() => drawRuler());
  useRedraw(ruler, drawRuler);
  useEffect(() => {
    let frame = 0;
    const move = () => {
      const at = player.position();
      if (player.playing.peek()) view.follow(at);
      const share = view.share(at);
      const element = head.current;
      if (element && ruler.current) {
        element.hidden = share < 0 || share > 1;
        element.style.transform = `translateX(${ruler.current.offsetLeft + share * ruler.current.clientWidth}px)`;
      }
      frame = requestAnimationFrame(move);
    };
    frame = requestAnimationFrame(move);
    return () => cancelAnimationFrame(frame);
  }, [player, view]);
  useEffect(() => {
    const element = stage.current!;
    const wheel = (event: WheelEvent) => {
      const length = view.to.peek() - view.from.peek();
      if (event.ctrlKey || event.metaKey) view.zoom(Math.exp(-event.deltaY / 300), frameAt(event.clientX));
      else {
        const along = event.shiftKey ? event.deltaY : event.deltaX;
        if (along === 0) return;
        view.move((along / element.clientWidth) * length);
      }
      event.preventDefault();
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [view]);
  return (
    <div class="stage" ref={stage}>
      <canvas
        ref={ruler}
        class="ruler"
        aria-hidden="true"
        title="Drag to loop a part, or an end of the loop"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          // An end of the loop is dragged: the other one stays.
          const loop = player.loop.peek();
          const box = event.currentTarget.getBoundingClientRect();
          const near = (frame: number) => Math.abs(box.left + view.share(frame) * box.width - event.clientX) <= kHandle;
          drag.current = loop && near(loop.to) ? loop.from : loop && near(loop.from) ? loop.to : frameAt(event.clientX);
        }}
        onPointerMove={(event) => {
          if (drag.current === null) return;
          const here = frameAt(event.clientX);
          if (Math.abs(view.share(here) - view.share(drag.current)) > 0.005) {
            player.setLoop({ from: Math.round(Math.min(here, drag.current)), to: Math.round(Math.max(here, drag.current)) });
          }
        }}
        onPointerUp={(event) => {
          const here = frameAt(event.clientX);
          if (drag.current !== null && Math.abs(view.share(here) - view.share(drag.current)) <= 0.005) player.seek(here);
          drag.current = null;
        }}
      />
      <div
        class="lanes"
        onClick={(event) => {
          if ((event.target as Element).closest(".lane-wave")) player.seek(frameAt(event.clientX));
        }}
      >
        {children}
      </div>
      <div class="playhead" ref={head} aria-hidden="true" />
    </div>
  );
}

// All of the sound, small; the part that is looked at can be dragged.
export function Minimap({ asset, view, player }: { asset: string; view: TimeView; player: Player }) {
  const box = useRef<HTMLDivElement>(null);
  const window_ = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    const element = window_.current;
    if (!element) return;
    element.style.left = `${(100 * view.from.value) / view.frames}%`;
    element.style.width = `${(100 * (view.to.value - view.from.value)) / view.frames}%`;
  });
  useEffect(() => {
    let frame = 0;
    const move = () => {
      if (head.current) head.current.style.left = `${(100 * player.position()) / Math.max(1, view.frames)}%`;
      frame = requestAnimationFrame(move);
    };
    frame = requestAnimationFrame(move);
    return () => cancelAnimationFrame(frame);
  }, [player, view]);
  const centre = (x: number) => {
    const bounds = box.current!.getBoundingClientRect();
    const at = ((x - bounds.left) / bounds.width) * view.frames;
    const half = (view.to.peek() - view.from.peek()) / 2;
    view.show(at - half, at + half);
  };
  return (
    <div
      class="minimap"
      ref={box}
      aria-hidden="true"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        centre(event.clientX);
      }}
      onPointerMove={(event) => {
        if (event.buttons & 1) centre(event.clientX);
      }}
    >
      <Wave asset={asset} view={view} whole faint />
      <div class="window" ref={window_} />
      <div class="mini-head" ref={head} />
    </div>
  );
}

// Several sounds played together to the sample: slices of all of them are scheduled at the same frames of one clock, a few
// seconds ahead. Nothing of a slice is started before every track has it, so that what is late is late for all of them.
import { type Signal, effect, signal } from "@preact/signals";
import type { Chain } from "../model/chain";
import { kPitchLatency } from "./pitch";
import { type SliceSource, kSliceSeconds, sliceOf } from "./sound";

export interface Track {
  asset: string;
  name: string;
  gain: Signal<number>; // dB; kSilent and below is silence
  pan: Signal<number>; // -1 to 1
  mute: Signal<boolean>;
  solo: Signal<boolean>;
  slices?: SliceSource; // in place of the asset's
  factor: Signal<number>; // besides the fader: for shares and differences of sounds, and so of any sign
  apart?: boolean; // others' solos leave it alone
}

// What has no pitch to be changed.
export function isDrum({ name, apart = false }: Pick<Track, "name" | "apart">): boolean {
  return apart || /drum|kick|snare|tom|hat|cymbal|crash|ride|percuss/i.test(name);
}

export interface Span {
  from: number; // frames
  to: number;
}

export const kSilent = -60; // dB, the lowest that a fader goes
const kAhead = 6; // seconds that are scheduled
const kLead = 0.06; // seconds until the first sample sounds
const kRamp = 0.01; // seconds, the time constant of faders
const kTick = 120; // milliseconds

export function amplitude(db: number): number {
  return db <= kSilent ? 0 : 10 ** (db / 20);
}

// The file of what runs on the thread of the sound, whose name the page knows.
function moduleOf(name: "pitch" | "mastering"): string {
  return document.querySelector<HTMLScriptElement>(`script[data-${name}]`)?.dataset[name] ?? `/assets/${name}.js`;
}

// What a track's fader, its mute and everybody's solos come to.
export function loudnessOf(track: Track, tracks: readonly Track[]): number {
  const alone = tracks.some((other) => other.solo.value);
  if (track.mute.value || (alone && !track.solo.value && !track.apart)) return 0;
  return amplitude(track.gain.value) * track.factor.value;
}

export function slicesOf(track: Pick<Track, "asset" | "slices">): SliceSource {
  return track.slices ?? ((rate, index) => sliceOf(track.asset, rate, index));
}

interface Strip {
  slices: SliceSource;
  input: AudioNode;
  meter: AnalyserNode;
}

// A stretch of the sound as it was scheduled: `frames` from `from` on begin to sound at frame `when` of the clock.
interface Segment extends Span {
  when: number;
  speed: number;
}

export class Player {
  readonly playing = signal(false);
  readonly waiting = signal(false); // for samples that are still on their way
  readonly loop = signal<Span | null>(null);
  readonly original = signal(false); // whether the original is heard in place of the tracks
  readonly matched = signal(0); // dB by which the original was brought to the mix' level
  readonly speed = signal(1); // as a tape's: the pitch goes along, unless it is kept
  readonly semitones = signal(0); // by which all but drums are raised
  readonly keepsPitch = signal(false); // whatever the speed is
  readonly master = signal(0); // dB
  readonly failure = signal("");
  readonly rate: number;
  readonly meter: AnalyserNode;
  readonly strips: readonly Strip[];

  // What is heard before the sound, from that frame on, when it begins to play; at the context's rate.
  before: (frame: number) => Float32Array = () => new Float32Array(0);
  matching = true; // by what is heard; else `matched` stays as it was set

  private readonly out: GainNode;
  private readonly sum: GainNode; // of all tracks
  private readonly mix: GainNode;
  private readonly mixMeter: AnalyserNode;
  private mastering: AudioWorkletNode | null = null;
  private readonly pitched: GainNode; // tracks that are transposed
  private readonly drums: GainNode; // and those that are not
  private shifters: AudioWorkletNode[] = [];
  private ratios = ""; // of the shifters
  private behind = 0; // frames by which they are late
  private readonly reference: Strip | null = null;
  private readonly referenceGain: GainNode;
  private readonly stops: (() => void)[] = [];
  private nodes = new Set<AudioBufferSourceNode>();
  private segments: Segment[] = [];
  private cursor = 0; // the next frame to be scheduled
  private when = 0; // the clock's frame at which it is to sound
  private rest = 0; // where the sound stands while it doesn't play
  private run = 0; // counts what makes schedules void
  private filling = false;
  private timer: ReturnType<typeof setInterval> | undefined;
  private power = { mix: 0, original: 0 };
  private chain: Chain | null = null;
  private gone = false;
  private static sounding: Player | null = null; // one at a time

  // `frames` is counted at the context's rate, at which the server is asked for samples.
  constructor(
    readonly context: BaseAudioContext,
    readonly tracks: readonly Track[],
    readonly frames: number,
    original: string | SliceSource | null = null,
  ) {
    this.rate = context.sampleRate;
    this.out = context.createGain();
    this.meter = context.createAnalyser();
    this.out.connect(this.meter).connect(context.destination);
    this.mix = context.createGain();
    this.mixMeter = context.createAnalyser();
    this.mix.connect(this.out);
    this.sum = context.createGain();
    this.sum.connect(this.mix);
    this.sum.connect(this.mixMeter);
    this.pitched = context.createGain();
    this.drums = context.createGain();
    this.strips = tracks.map((track) => {
      const gain = context.createGain();
      const pan = context.createStereoPanner();
      const meter = context.createAnalyser();
      meter.fftSize = 1024;
      gain.connect(pan).connect(meter);
      meter.connect(isDrum(track) ? this.drums : this.pitched);
      this.watch(() => this.turn(gain.gain, loudnessOf(track, tracks)));
      this.watch(() => this.turn(pan.pan, track.pan.value));
      return { slices: slicesOf(track), input: gain, meter };
    });
    this.referenceGain = context.createGain();
    if (original !== null) {
      const meter = context.createAnalyser();
      meter.connect(this.referenceGain);
      this.reference = { slices: typeof original === "string" ? slicesOf({ asset: original }) : original, input: meter, meter };
    }
    this.wire([1, 1, 1]);
    this.watch(() => this.turn(this.out.gain, amplitude(this.master.value)));
    this.watch(() => this.turn(this.mix.gain, this.original.value && this.reference ? 0 : 1));
    this.watch(() => this.turn(this.referenceGain.gain, this.original.value && this.reference ? amplitude(this.matched.value) : 0));
  }

  get hasOriginal(): boolean {
    return this.reference !== null;
  }

  // The frame that is heard now.
  position(): number {
    if (!this.playing.value) return this.rest;
    const context = this.context as Partial<AudioContext> & BaseAudioContext;
    const heard = (context.currentTime - (context.outputLatency ?? 0)) * this.rate - this.behind;
    let found = this.segments[0];
    if (!found) return this.rest;
    for (const segment of this.segments) if (segment.when <= heard) found = segment;
    const inside = Math.max(0, (heard - found.when) * found.speed);
    return Math.min(found.to, found.from + inside);
  }

  async play(): Promise<void> {
    if (this.playing.value) return;
    if (this.context instanceof AudioContext) {
      Player.sounding?.pause();
      Player.sounding = this;
    }
    const loop = this.loop.value;
    if (this.rest >= this.frames || (loop && this.rest >= loop.to)) this.rest = loop?.from ?? 0;
    this.playing.value = true;
    this.failure.value = "";
    const { context } = this;
    // A browser may hold the sound back until it was clicked on; scheduling does not wait for it.
    if (context instanceof AudioContext && context.state === "suspended") void context.resume();
    this.begin();
    this.lead(this.before(this.rest));
    this.timer = setInterval(() => {
      this.match();
      void this.fill();
    }, kTick);
    await this.fill();
  }

  pause(): void {
    if (!this.playing.value) return;
    this.rest = this.position();
    this.playing.value = false;
    this.waiting.value = false;
    clearInterval(this.timer);
    this.silence();
  }

  seek(frame: number): void {
    this.rest = Math.max(0, Math.min(this.frames, Math.round(frame)));
    if (this.playing.value) this.restart();
    else void this.prepare();
  }

  setLoop(span: Span | null): void {
    const here = this.position();
    const loop = span && span.to - span.from >= 0.05 * this.rate ? span : null;
    this.loop.value = loop;
    if (this.playing.value) {
      // What lies outside, or on its end, would never come to be in it.
      this.rest = loop && (here < loop.from || here > loop.to - 0.05 * this.rate) ? loop.from : here;
      this.restart();
    }
  }

  setSpeed(speed: number): void {
    const here = this.position();
    this.speed.value = speed;
    void this.shift();
    if (this.playing.value) {
      this.rest = here;
      this.restart();
    }
  }

  setPitch(semitones: number, keeps: boolean): Promise<void> {
    this.semitones.value = semitones;
    this.keepsPitch.value = keeps;
    return this.shift();
  }

  // The sum of the tracks, not the original, goes through it: at once, also while it sounds.
  async setChain(chain: Chain): Promise<void> {
    this.chain = chain;
    if (this.mastering) return this.mastering.port.postMessage(chain);
    try {
      await this.context.audioWorklet.addModule(moduleOf("mastering"));
    } catch (error) {
      this.failure.value = `The chain can't be heard: ${error instanceof Error ? error.message : String(error)}`;
      return;
    }
    if (this.mastering || this.gone) return;
    this.mastering = new AudioWorkletNode(this.context, "mastering", { outputChannelCount: [2], channelCount: 2, channelCountMode: "explicit", processorOptions: { chain: this.chain } });
    this.sum.disconnect();
    this.sum.connect(this.mastering);
    this.mastering.connect(this.mix);
    this.mastering.connect(this.mixMeter);
  }

  // Puts shifters in the way of the tracks where a pitch is to be another, and takes them out of it where none is.
  private async shift(): Promise<void> {
    const kept = this.keepsPitch.value ? 1 / this.speed.value : 1;
    const ratios = [kept * 2 ** (this.semitones.value / 12), kept, kept];
    if (ratios.join() === this.ratios) return;
    try {
      if (ratios.some((ratio) => ratio !== 1)) await this.context.audioWorklet.addModule(moduleOf("pitch"));
    } catch (error) {
      this.failure.value = `The pitch can't be changed: ${error instanceof Error ? error.message : String(error)}`;
      return;
    }
    // Another one may have been asked for meanwhile.
    const now = this.keepsPitch.value ? 1 / this.speed.value : 1;
    if (ratios[1] !== now || ratios[0] !== now * 2 ** (this.semitones.value / 12)) return;
    this.wire(ratios);
  }

  // All groups are as late as each other: those whose ratio is 1 as well.
  private wire(ratios: readonly number[]): void {
    this.ratios = ratios.join();
    for (const shifter of this.shifters) {
      shifter.port.postMessage("end");
      shifter.disconnect();
    }
    this.shifters = [];
    this.behind = ratios.some((ratio) => ratio !== 1) ? kPitchLatency : 0;
    [this.pitched, this.drums, this.referenceGain].forEach((group, i) => {
      group.disconnect();
      let end: AudioNode = group;
      if (this.behind > 0) {
        const node = new AudioWorkletNode(this.context, "pitch", { outputChannelCount: [2], channelCount: 2, channelCountMode: "explicit", processorOptions: { ratio: ratios[i] } });
        group.connect(node);
        this.shifters.push(node);
        end = node;
      }
      end.connect(group === this.referenceGain ? this.out : this.sum);
    });
  }

  // Brings in what is heard first, before anybody asks for it.
  async prepare(): Promise<void> {
    await this.slices(Math.floor(this.rest / this.sliceFrames)).catch(() => undefined);
  }

  dispose(): void {
    this.pause();
    this.gone = true;
    if (Player.sounding === this) Player.sounding = null;
    this.mastering?.port.postMessage(null);
    for (const shifter of this.shifters) shifter.port.postMessage("end");
    for (const stop of this.stops) stop();
    if (this.context instanceof AudioContext) void this.context.close();
  }

  // Schedules up to frame `until` of the clock.
  async schedule(until: number): Promise<void> {
    const run = this.run;
    while (this.when < until && this.cursor < this.frames) {
      const index = Math.floor(this.cursor / this.sliceFrames);
      const slices = await this.slices(index);
      if (run !== this.run) return;
      const late = this.context.currentTime * this.rate - this.when;
      if (late > 0 && !(this.context instanceof OfflineAudioContext)) this.when += Math.ceil(late + kLead * this.rate);
      this.place(index, slices);
    }
  }

  // From where it stands, as soon as it can be.
  begin(): void {
    ++this.run;
    this.cursor = Math.round(this.rest);
    const live = this.context instanceof OfflineAudioContext ? 0 : kLead;
    this.when = Math.ceil((this.context.currentTime + live) * this.rate);
    this.segments = [];
  }

  // Sounds now, at the sound's own speed; what comes next waits for its end.
  private lead(plane: Float32Array): void {
    if (plane.length === 0) return;
    const buffer = this.context.createBuffer(1, plane.length, this.rate);
    buffer.copyToChannel(plane as Float32Array<ArrayBuffer>, 0);
    this.start(buffer, this.out);
    this.when += plane.length / this.speed.value;
  }

  private start(buffer: AudioBuffer, into: AudioNode): void {
    const node = this.context.createBufferSource();
    node.buffer = buffer;
    node.playbackRate.value = this.speed.value;
    node.connect(into);
    node.onended = () => {
      node.disconnect();
      this.nodes.delete(node);
    };
    node.start(this.when / this.rate);
    this.nodes.add(node);
  }

  private get sliceFrames(): number {
    return kSliceSeconds * this.rate;
  }

  private get sources(): readonly Strip[] {
    return this.reference ? [...this.strips, this.reference] : this.strips;
  }

  private slices(index: number): Promise<Float32Array[][]> {
    return Promise.all(this.sources.map((strip) => strip.slices(this.rate, index)));
  }

  private watch(update: () => void): void {
    this.stops.push(effect(update));
  }

  private turn(parameter: AudioParam, value: number): void {
    if (this.context instanceof OfflineAudioContext || !this.playing.peek()) parameter.value = value;
    else parameter.setTargetAtTime(value, this.context.currentTime, kRamp);
  }

  private restart(): void {
    this.silence();
    this.begin();
    void this.fill();
  }

  private silence(): void {
    ++this.run;
    for (const node of this.nodes) {
      node.onended = null;
      node.stop();
      node.disconnect();
    }
    this.nodes.clear();
    this.segments = [];
  }

  private async fill(): Promise<void> {
    if (this.filling) return;
    this.filling = true;
    try {
      for (let run = -1; this.playing.value && run !== this.run; ) {
        run = this.run; // a seek meanwhile makes another round
        const now = this.context.currentTime * this.rate;
        this.waiting.value = this.when <= now && this.cursor < this.frames;
        await this.schedule(now + kAhead * this.rate);
        this.waiting.value = false;
        this.failure.value = "";
      }
      // Segments that were heard tell nothing any more; the last of them may still be heard.
      const now = this.context.currentTime * this.rate;
      while (this.segments.length > 2 && (this.segments[1] as Segment).when < now - this.rate) this.segments.shift();
      if (this.playing.value && this.cursor >= this.frames && now > this.when + 0.2 * this.rate) {
        this.pause();
        this.rest = this.frames;
      }
    } catch (error) {
      // Asked for again at the next tick: what plays goes on when the server is back.
      this.failure.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.filling = false;
    }
  }

  // Starts what is left of a slice, or of the loop, at the frame where what came before ends.
  private place(index: number, slices: readonly Float32Array[][]): void {
    const loop = this.loop.value;
    const first = this.cursor - index * this.sliceFrames;
    let to = Math.min((index + 1) * this.sliceFrames, this.frames);
    const looping = loop !== null && this.cursor < loop.to && loop.to <= to;
    if (looping) to = loop.to;
    const length = to - this.cursor;
    const speed = this.speed.value;
    this.sources.forEach((strip, i) => {
      const slice = slices[i] as Float32Array[];
      const frames = Math.min(length, (slice[0]?.length ?? 0) - first);
      if (frames <= 0) return; // the sound is shorter than the longest
      // A panner takes one channel for what it is, and makes it 3 dB softer in the middle.
      const mono = slice[0] === slice[1] && strip !== this.reference;
      const buffer = this.context.createBuffer(mono ? 1 : 2, frames, this.rate);
      slice.slice(0, buffer.numberOfChannels).forEach((plane, channel) => {
        const part = plane.subarray(first, first + frames) as Float32Array<ArrayBuffer>;
        buffer.copyToChannel(mono ? part.map((sample) => sample * Math.SQRT2) : part, channel);
      });
      this.start(buffer, strip.input);
    });
    this.segments.push({ from: this.cursor, to, when: this.when, speed });
    this.when += length / speed;
    this.cursor = looping && loop ? loop.from : to;
  }

  // While both are heard or could be, their power over the last seconds says by how much the original has to be turned so
  // that neither wins by being louder.
  private match(): void {
    if (!this.reference || !this.matching) return;
    const own = amplitude(this.matched.peek());
    this.power.mix = 0.95 * this.power.mix + 0.05 * powerOf(this.mixMeter);
    this.power.original = 0.95 * this.power.original + 0.05 * powerOf(this.reference.meter);
    if (this.power.mix < 1e-9 || this.power.original < 1e-9 || own === 0) return;
    const db = 10 * Math.log10(this.power.mix / this.power.original);
    this.matched.value = Math.max(-24, Math.min(12, db));
  }
}

const samples = new Float32Array(2048);

function powerOf(meter: AnalyserNode): number {
  meter.getFloatTimeDomainData(samples.subarray(0, meter.fftSize));
  let sum = 0;
  for (let i = 0; i < meter.fftSize; ++i) sum += (samples[i] as number) ** 2;
  return sum / meter.fftSize;
}

// The greatest magnitude of what a meter last saw.
export function peakOf(meter: AnalyserNode): number {
  meter.getFloatTimeDomainData(samples.subarray(0, meter.fftSize));
  let peak = 0;
  for (let i = 0; i < meter.fftSize; ++i) peak = Math.max(peak, Math.abs(samples[i] as number));
  return peak;
}

// The shifter of pitches on the thread that renders sound: a file of its own, which the page brings in when it is wanted.
import { PitchShifter } from "./pitch";

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new (options: { processorOptions: { ratio: number } }) => AudioWorkletProcessor): void;

const silence = new Float32Array(128);

class PitchProcessor extends AudioWorkletProcessor {
  private readonly shifter: PitchShifter;
  private live = true;

  constructor({ processorOptions }: { processorOptions: { ratio: number } }) {
    super();
    this.shifter = new PitchShifter(processorOptions.ratio);
    this.port.onmessage = () => (this.live = false);
  }

  process([input]: Float32Array[][], [output]: Float32Array[][]): boolean {
    const left = input?.[0] ?? silence;
    const [outLeft, outRight] = output as [Float32Array, Float32Array];
    this.shifter.process(left, input?.[1] ?? left, outLeft, outRight);
    return this.live;
  }
}

registerProcessor("pitch", PitchProcessor);

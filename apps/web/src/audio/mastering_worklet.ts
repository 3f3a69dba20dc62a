// A mastering chain on the thread that renders sound: a file of its own, which the page brings in when it is wanted.
import type { Chain } from "../model/chain";
import { Mastering } from "./mastering";

declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new (options: { processorOptions: { chain: Chain } }) => AudioWorkletProcessor): void;

const silence = new Float32Array(128);

class MasteringProcessor extends AudioWorkletProcessor {
  private readonly mastering = new Mastering(sampleRate);
  private live = true;

  constructor({ processorOptions }: { processorOptions: { chain: Chain } }) {
    super();
    this.mastering.set(processorOptions.chain);
    this.port.onmessage = ({ data }: MessageEvent<Chain | null>) => {
      if (data) this.mastering.set(data);
      else this.live = false;
    };
  }

  process([input]: Float32Array[][], [output]: Float32Array[][]): boolean {
    const left = input?.[0] ?? silence;
    this.mastering.process([left, input?.[1] ?? left], output as Float32Array[]);
    return this.live;
  }
}

registerProcessor("mastering", MasteringProcessor);

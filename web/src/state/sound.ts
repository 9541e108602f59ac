// The sound of red: two tones every few seconds while a red warning is open that nobody has acknowledged, unless somebody muted it by name.

import { shallowRef } from "vue";

const EVERY_MS = 3000;
const TONES = [
  { hertz: 880, at: 0, lasts: 0.22 },
  { hertz: 660, at: 0.28, lasts: 0.32 },
] as const;
const LOUDNESS = 0.25;

/** `blocked`: it should sound, but the browser waits for a click. */
export type SoundState = "quiet" | "sounding" | "muted" | "blocked";

/** Who switched it off, until when (monotonic), and for which warnings: a new one sounds nevertheless. */
export interface Muting {
  name: string;
  until: number;
  warnings: ReadonlySet<string>;
}

class Sound {
  readonly state = shallowRef<SoundState>("quiet");
  /** The warnings that are red, open and not acknowledged. */
  readonly alarming = shallowRef<readonly string[]>([]);
  readonly muting = shallowRef<Muting | null>(null);
  #context: AudioContext | null = null;
  #soundedAt = -Infinity;

  /** Take a browser's first gesture as leave to sound. */
  start(): void {
    for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, () => this.#resume(), { capture: true, passive: true });
  }

  /** Say which warnings are alarming now; to be called a few times a second. */
  update(ids: readonly string[]): void {
    if (ids.join() !== this.alarming.value.join()) this.alarming.value = ids;
    const { muting } = this;
    if (muting.value && (performance.now() >= muting.value.until || ids.length === 0)) muting.value = null;
    const state = this.#wanted(ids);
    if (state !== this.state.value) this.state.value = state;
    if (state === "sounding") this.#sound();
    else this.#soundedAt = -Infinity;
  }

  #wanted(ids: readonly string[]): SoundState {
    if (ids.length === 0) return "quiet";
    const muted = this.muting.value?.warnings;
    if (muted && ids.every((id) => muted.has(id))) return "muted";
    this.#context ??= new AudioContext();
    return this.#context.state === "running" ? "sounding" : "blocked";
  }

  /** Be quiet about what is alarming now, in somebody's name. */
  mute(name: string, minutes: number): void {
    this.muting.value = { name, until: performance.now() + minutes * 60_000, warnings: new Set(this.alarming.value) };
    this.update(this.alarming.value);
  }

  /** Sound again. */
  unmute(): void {
    this.muting.value = null;
    this.update(this.alarming.value);
  }

  /** Ask the browser to let it sound. */
  async allow(): Promise<void> {
    await this.#context?.resume();
    this.update(this.alarming.value);
  }

  #resume(): void {
    if (this.#context?.state === "suspended") void this.allow();
  }

  #sound(): void {
    const context = this.#context;
    if (!context || performance.now() - this.#soundedAt < EVERY_MS) return;
    this.#soundedAt = performance.now();
    for (const { hertz, at, lasts } of TONES) {
      const from = context.currentTime + at;
      const tone = new OscillatorNode(context, { type: "triangle", frequency: hertz });
      const gain = new GainNode(context, { gain: 0 });
      gain.gain.setTargetAtTime(LOUDNESS, from, 0.01); // ramps: a bare start and stop would click
      gain.gain.setTargetAtTime(0, from + lasts, 0.03);
      tone.connect(gain).connect(context.destination);
      tone.start(from);
      tone.stop(from + lasts + 0.3);
    }
  }
}

export const sound = new Sound();

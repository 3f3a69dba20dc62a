// The head of a view: what it is, a line about it, and beside it what can be done with all of it.
import type { ComponentChildren } from "preact";

export function Title({ title, about, children }: { title: string; about: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="title">
      <div>
        <h1>{title}</h1>
        <p class="quiet">{about}</p>
      </div>
      {children}
    </div>
  );
}

// Which view is shown: the address' fragment, so that Back, reload and bookmarks work.
import { signal } from "@preact/signals";

export interface Route {
  view: string;
  rest: string[];
}

function parse(): Route {
  const [view = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { view: view || "library", rest };
}

export const route = signal<Route>(parse());
addEventListener("hashchange", () => (route.value = parse()));

export function hrefOf(view: string, ...rest: string[]): string {
  return "#/" + [view, ...rest].map(encodeURIComponent).join("/");
}

export function go(view: string, ...rest: string[]): void {
  location.hash = hrefOf(view, ...rest);
}

// The address was changed without a new entry in the history, of which no event tells.
export function replaceRoute(hash: string): void {
  history.replaceState(null, "", location.pathname + hash);
  route.value = parse();
}

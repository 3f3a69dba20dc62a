// Chooses one of the files that were brought in.
import { useEffect, useRef } from "preact/hooks";
import { assets, loadAssets } from "../model/catalog";
import { outputAssets } from "../model/jobs";
import { isSound } from "./jobs_list";
import type { Asset } from "../model/types";

interface PickProps {
  label: string;
  text: string; // of the button
  made?: boolean; // what jobs made as well
  onChoose?: (asset: Asset | null) => void; // before it is picked
  onPick: (asset: Asset) => void;
}

export function Pick({ label, text, made = false, onChoose, onPick }: PickProps) {
  const select = useRef<HTMLSelectElement>(null);
  useEffect(() => void loadAssets().catch(() => undefined), []);
  const list = assets.value.filter((asset) => isSound(asset.media_type) && (made || !outputAssets.value.has(asset.id)));
  const choose = () => onChoose?.(list.find((one) => one.id === select.current?.value) ?? null);
  useEffect(choose, [list.map((asset) => asset.id).join()]);
  const submit = (event: Event) => {
    event.preventDefault();
    const id = new FormData(event.currentTarget as HTMLFormElement).get("asset");
    const asset = list.find((one) => one.id === id);
    if (asset) onPick(asset);
  };
  return (
    <form class="line" onSubmit={submit}>
      <select ref={select} name="asset" aria-label={label} onChange={choose} disabled={list.length === 0}>
        {list.length === 0 && <option value="">No file was brought in yet</option>}
        {list.map((asset) => (
          <option key={asset.id} value={asset.id}>
            {asset.name}
          </option>
        ))}
      </select>
      <button type="submit" class="primary" disabled={list.length === 0}>
        {text}
      </button>
    </form>
  );
}

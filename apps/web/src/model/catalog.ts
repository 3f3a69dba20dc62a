// What does not change while the server runs: kinds of jobs, their options, models, presets; and the files it has.
import { signal } from "@preact/signals";
import { getJson, request } from "./api";
import type { Chain } from "./chain";
import type { Asset, Kind, Model, OptionsSchema } from "./types";

export const kinds = signal<readonly Kind[]>([]);
export const models = signal<readonly Model[]>([]);
export const assets = signal<readonly Asset[]>([]);
export const assetsLoaded = signal(false);
export const moreAssets = signal<string | null>(null);

const schemas = new Map<string, Promise<OptionsSchema>>();

export function schemaOf(kind: string): Promise<OptionsSchema> {
  let schema = schemas.get(kind);
  if (!schema) {
    schema = getJson<OptionsSchema>(`/v1/kinds/${kind}/schema`);
    schema.catch(() => schemas.delete(kind));
    schemas.set(kind, schema);
  }
  return schema;
}

let chains: Promise<Map<string, Chain>> | null = null;

// The mastering presets' chains, by their names.
export function presetChains(): Promise<Map<string, Chain>> {
  chains ??= getJson<{ presets: { name: string; chain: Chain }[] }>("/v1/presets").then(({ presets }) => new Map(presets.map(({ name, chain }) => [name, chain])));
  chains.catch(() => (chains = null));
  return chains;
}

export async function loadCatalog(): Promise<void> {
  const [known, there] = await Promise.all([getJson<{ kinds: Kind[] }>("/v1/kinds"), getJson<{ models: Model[] }>("/v1/models")]);
  kinds.value = known.kinds;
  models.value = there.models;
}

async function page(address: string): Promise<Asset[]> {
  const response = await request(address);
  moreAssets.value = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("Link") ?? "")?.[1] ?? null;
  return ((await response.json()) as { assets: Asset[] }).assets;
}

export async function loadAssets(): Promise<void> {
  assets.value = await page("/v1/assets?limit=100");
  assetsLoaded.value = true;
}

export async function loadMoreAssets(): Promise<void> {
  if (moreAssets.value === null) return;
  const more = await page(moreAssets.value);
  assets.value = [...assets.value, ...more];
}

export async function removeAsset(id: string): Promise<void> {
  await request(`/v1/assets/${id}`, { method: "DELETE" });
  assets.value = assets.value.filter((asset) => asset.id !== id);
}

const known = new Map<string, Promise<Asset>>();
export function assetOf(id: string): Promise<Asset> {
  let asset = known.get(id);
  if (!asset) {
    asset = getJson<Asset>(`/v1/assets/${id}`);
    asset.catch(() => known.delete(id));
    known.set(id, asset);
  }
  return asset;
}

// How many keys the queries see, and how many of them are older than the first query, where the run says so
// (AttentionAttrs::At): the scalars at valid_at and older_at, unless those are below 0.
uint ValidKeys() { return valid_at < 0 ? valid : uint(clamp(scalars[valid_at], 1, int(keys))); }
uint OlderKeys(uint valid_keys) {
  if (valid_at < 0 && older_at < 0) return uint(past);
  const int older = older_at < 0 ? past : scalars[older_at];
  return uint(max(older < 0 ? int(valid_keys) - int(queries) : older, 0));
}

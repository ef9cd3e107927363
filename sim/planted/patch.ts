// How bugs are planted where there is no seam: a method or getter of an exported class is replaced for as long as a
// run lasts. Production code has no switch for any of them.

/** Replaces a method; the replacement gets the original to call. Returns what puts it back. */
export function replaceMethod<Instance extends object, Name extends keyof Instance>(
  owner: { readonly prototype: Instance },
  name: Name,
  make: (original: Instance[Name]) => Instance[Name],
): () => void {
  const { prototype } = owner;
  const original = prototype[name];
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

/** Replaces a getter by another one. */
export function replaceGetter<Instance extends object, Name extends keyof Instance>(
  owner: { readonly prototype: Instance },
  name: Name,
  get: (this: Instance) => Instance[Name],
): () => void {
  const original = Object.getOwnPropertyDescriptor(owner.prototype, name);
  if (original?.get === undefined) throw new Error(`there is no getter ${String(name)} to replace`);
  Object.defineProperty(owner.prototype, name, { ...original, get });
  return () => Object.defineProperty(owner.prototype, name, original);
}

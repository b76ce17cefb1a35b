// The library as lessons import it: the one for browsers, and loadCorpus(), which returns the text
// that is built into the page.

export * from "../../browser.ts";

const NAME = "Moby-Dick, chapters 1 to 21";

/** Loads the text that lessons train on. */
export async function loadCorpus(): Promise<{ name: string; source: string; text: string }> {
  const response = await fetch(new URL("texts/moby-dick.txt", self.location.href));
  if (!response.ok) throw new Error("the text of the lessons could not be loaded");
  return { name: NAME, source: "moby-dick", text: await response.text() };
}

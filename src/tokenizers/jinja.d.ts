// The types of what we use of @huggingface/jinja, whose own do not compile under NodeNext.

/** A Jinja template; throws an Error if the source is not one. */
export class Template {
  constructor(source: string);
  /** Returns the text for the variables; throws an Error, also on raise_exception(). */
  render(variables: Record<string, unknown>): string;
}

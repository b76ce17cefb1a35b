// Text in the output of a lesson. What explains the results is printed between them with say();
// comments explain the code.

const WIDTH = 88;

/** Prints text wrapped to the width of a terminal, with a blank line before and after it. */
export function say(text: string): void {
  console.log(`\n${wrap(text)}\n`);
}

/** Wraps each paragraph of a text to 88 columns. Blank lines separate paragraphs. */
export function wrap(text: string): string {
  const paragraphs = text.trim().split(/\n\s*\n/);
  return paragraphs.map(wrapParagraph).join("\n\n");
}

function wrapParagraph(paragraph: string): string {
  const lines = [""];
  for (const word of paragraph.trim().split(/\s+/)) {
    const line = lines[lines.length - 1];
    const longer = line ? `${line} ${word}` : word;
    if (longer.length <= WIDTH) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.join("\n");
}

/** Formats a fraction as a percentage, such as 12.5%. */
export function percent(fraction: number, digits = 1): string {
  return `${(100 * fraction).toFixed(digits)}%`;
}

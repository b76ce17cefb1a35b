// Drawing keeps the browser's pace.

/** A function that has `draw` called in the next frame, once, however often it is called itself. */
export function oncePerFrame(draw: () => void): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
}

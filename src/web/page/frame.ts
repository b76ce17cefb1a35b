// Limits drawing to the display's frame rate.

/** Returns a function that schedules `draw` for the next frame. Repeated calls are merged. */
export function oncePerFrame(draw: () => void): () => void {
  let isScheduled = false;
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      draw();
    });
  };
}

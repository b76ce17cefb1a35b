export function curvesView(root: HTMLElement): void {
  root.textContent = "";
}

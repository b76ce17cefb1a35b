export function modelView(root: HTMLElement): void {
  root.textContent = "";
}

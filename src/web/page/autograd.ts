export function autogradView(root: HTMLElement): void {
  root.textContent = "";
}

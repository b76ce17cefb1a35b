// Detects Wine, in which npm run test:windows runs the tests, for what is slow or missing there only.

export const isWine = process.platform === "win32" && process.env.WINEPREFIX !== undefined;

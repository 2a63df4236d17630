// Light, dark, or what the system says.
import { useLayoutEffect, useState } from 'preact/hooks';

const kThemes = ['system', 'light', 'dark'] as const;
type Theme = (typeof kThemes)[number];
const kName = 'sluice-theme';

function stored(): Theme {
  try {
    return kThemes.find((theme) => theme === localStorage.getItem(kName)) ?? 'system';
  } catch {
    return 'system';
  }
}

export function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(stored);
  useLayoutEffect(() => {
    if (theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    try {
      localStorage.setItem(kName, theme);
    } catch {
      // Storage may be switched off; the choice then lasts as long as the page.
    }
  }, [theme]);
  return (
    <label class="theme"><span class="visually-hidden">Colours</span>
      <select value={theme} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
        <option value="system">System</option><option value="light">Light</option><option value="dark">Dark</option>
      </select>
    </label>
  );
}

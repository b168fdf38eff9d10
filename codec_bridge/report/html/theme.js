// The button that turns a page light or dark; until it is pressed, the system says which.

const root = document.documentElement;

function pressed(button, value) {
  if (value !== undefined) button.setAttribute("aria-pressed", String(value));
  return button.getAttribute("aria-pressed") === "true";
}

const theme = document.getElementById("theme");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
pressed(theme, isDark());
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  pressed(theme, isDark());
});

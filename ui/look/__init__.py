"""How Aside looks and speaks: colours, sizes, icons, controls, languages."""

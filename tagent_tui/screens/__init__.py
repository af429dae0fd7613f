"""The screens: each owns one state and the keys that apply to it."""

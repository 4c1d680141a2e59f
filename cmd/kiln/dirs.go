package main

import (
	"errors"
	"path/filepath"
)

// dir finds a folder of the XDG base directory spec: $variable/kiln, or
// $HOME/fallback/kiln.
func (a *app) dir(variable, fallback string) (string, error) {
	if base := a.getenv(variable); filepath.IsAbs(base) {
		return filepath.Join(base, "kiln"), nil
	}
	home := a.getenv("HOME")
	if home == "" {
		return "", errors.New("neither " + variable + " nor HOME is set")
	}
	return filepath.Join(home, fallback, "kiln"), nil
}

func (a *app) dataDir() (string, error)   { return a.dir("XDG_DATA_HOME", ".local/share") }
func (a *app) configDir() (string, error) { return a.dir("XDG_CONFIG_HOME", ".config") }
func (a *app) stateDir() (string, error)  { return a.dir("XDG_STATE_HOME", ".local/state") }

// cacheDir is KILN_CACHE, or the XDG cache folder.
func (a *app) cacheDir() (string, error) {
	if dir := a.getenv("KILN_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	return a.dir("XDG_CACHE_HOME", ".cache")
}

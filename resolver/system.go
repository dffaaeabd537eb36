package resolver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// FromSystem returns a Config with the texts of the machine's own files, for
// programs that want the names of the machine they run on. Nothing else in
// this package reads them. A file that does not exist counts as empty; any
// other trouble is an error. Everything else in the Config is unset.
//
// Windows has hosts, services and protocol files and no resolv.conf: name
// servers must then be given in Config.Servers.
func FromSystem() (Config, error) {
	dir := "/etc"
	protocols := "protocols"
	if runtime.GOOS == "windows" {
		dir = filepath.Join(os.Getenv("SystemRoot"), "System32", "drivers", "etc")
		protocols = "protocol"
	}
	return fromDir(os.DirFS(dir), protocols)
}

func fromDir(dir fs.FS, protocols string) (Config, error) {
	var cfg Config
	for _, file := range []struct {
		name string
		text *string
	}{
		{"hosts", &cfg.Hosts},
		{"resolv.conf", &cfg.ResolvConf},
		{"nsswitch.conf", &cfg.Nsswitch},
		{"gai.conf", &cfg.GaiConf},
		{"services", &cfg.Services},
		{protocols, &cfg.Protocols},
	} {
		text, err := fs.ReadFile(dir, file.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Config{}, err
		}
		*file.text = string(text)
	}
	return cfg, nil
}

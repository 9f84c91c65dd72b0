package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/api"
)

// readPolicy reads the policy file that is the only argument, and the files that it
// names.
func readPolicy(c *cli.Context) (api.PolicyDraft, error) {
	args, err := arguments(c, "FILE")
	if err != nil {
		return api.PolicyDraft{}, err
	}
	return readPolicyFile(c, args[0])
}

func readPolicyFile(c *cli.Context, path string) (api.PolicyDraft, error) {
	var text []byte
	var err error
	folder := "."
	if path == "-" {
		if text, err = io.ReadAll(io.LimitReader(c.App.Reader, profiles.MaxPolicySize+1)); err != nil {
			return api.PolicyDraft{}, fmt.Errorf("read the policy: %w", err)
		}
	} else {
		folder = filepath.Dir(path)
		if text, err = readFile("the policy", path); err != nil {
			return api.PolicyDraft{}, err
		}
	}
	d := api.PolicyDraft{Text: string(text)}
	names, err := source.Named(text)
	if err != nil {
		return d, nil //nolint:nilerr // whoever parses the text says what is wrong, with every other mistake
	}
	for _, name := range names {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return d, fmt.Errorf("the policy names %s: a file that it names must lie in its own folder or beneath it", name)
		}
		b, err := readFile("the file "+name+" that the policy names", filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			return d, err
		}
		if d.Files == nil {
			d.Files = map[string][]byte{}
		}
		d.Files[name] = b
	}
	return d, nil
}

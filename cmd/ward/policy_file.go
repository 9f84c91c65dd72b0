package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/api"
)

// readPolicy reads the policy file that is the only argument, and the files that it
// names. A file that is not there is no error here: who parses the policy tells of it with
// all other mistakes. One that is there but can't be read is told of with them at once.
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
	unread := map[string]string{}
	for _, name := range names {
		local := filepath.FromSlash(name)
		if !filepath.IsLocal(local) {
			unread[name] = "it must lie in the policy's own folder or beneath it"
			continue
		}
		b, err := os.ReadFile(filepath.Join(folder, local))
		switch {
		case err == nil:
			if d.Files == nil {
				d.Files = map[string][]byte{}
			}
			d.Files[name] = b
		case !errors.Is(err, os.ErrNotExist): // whoever parses the text finds one missing that is not there
			unread[name] = reason(err)
		}
	}
	if len(unread) == 0 {
		return d, nil
	}
	_, err = source.Parse(text, source.Inputs{File: path, Files: d.Files, Unread: unread})
	return d, err
}

// reason is why a file can't be read, without its name.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

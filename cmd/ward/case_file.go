package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"github.com/urfave/cli/v2"
)

func newFileCommand() *cli.Command {
	return &cli.Command{
		Name: "file", Usage: "write the signed file of a case: for people, for machines, and the signature", ArgsUsage: "CASE",
		Action: fileOf("CASE", casePath), Flags: remoteFlags(folderFlag()),
		Description: "It writes CASE.json, which ward-verify case checks without the server, CASE.pdf, one\n" +
			"page for people, and CASE.pdf.p7s, the page's signature. That a file was made is\n" +
			"recorded in the audit log.",
	}
}

func newOrderFileCommand() *cli.Command {
	return &cli.Command{
		Name: "file", Usage: "write the signed file of an order that belongs to no case", ArgsUsage: "ORDER",
		Action: fileOf("ORDER", orderPath), Flags: remoteFlags(folderFlag()),
		Description: "It writes ORDER.json, ORDER.pdf and ORDER.pdf.p7s, as ward case file does.",
	}
}

func folderFlag() cli.Flag {
	return &cli.PathFlag{Name: "dir", Value: ".", Usage: "write into this `FOLDER`"}
}

// partNames are the names that parts of a file may have.
var partNames = regexp.MustCompile(`^[A-Za-z0-9_-]+\.(json|pdf|pdf\.p7s|csv|txt)$`)

// fileOf is the action of the commands that write a file. Its parts come in one answer, for
// a file that is made again is another one.
func fileOf(what string, path func(id, more string) string) cli.ActionFunc {
	return func(c *cli.Context) error {
		cl, args, err := readyFor(c, what)
		if err != nil {
			return err
		}
		raw, err := cl.do(c.Context, request{method: http.MethodGet, path: path(args[0], "/file.zip")})
		if err != nil {
			return err
		}
		paths, err := unpack(raw, c.Path("dir"))
		if err != nil {
			return err
		}
		return printFiles(c, paths)
	}
}

// part is one of the files that make a file of a case.
type part struct {
	name string
	body []byte
}

// partsOf reads the parts of a file out of their archive. Nothing but such parts is taken.
func partsOf(archive []byte) (out []part, err error) {
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, unexpected(err)
	}
	for _, f := range z.File {
		if !partNames.MatchString(f.Name) {
			return nil, unexpected(fmt.Errorf("it holds a file called %q", f.Name))
		}
		r, err := f.Open()
		if err != nil {
			return nil, unexpected(err)
		}
		body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		if len(body) > maxAnswer {
			return nil, unexpected(fmt.Errorf("%s is too large", f.Name))
		}
		out = append(out, part{f.Name, body})
	}
	if len(out) == 0 {
		return nil, unexpected(errors.New("it holds no file"))
	}
	return out, nil
}

// unpack writes the parts of a file into a folder, and returns their paths. Nothing is
// written over.
func unpack(archive []byte, dir string) (paths []string, err error) {
	parts, err := partsOf(archive)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		path := filepath.Join(dir, p.name)
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s exists already: it is not written over. Name another folder by --dir", path)
		}
		paths = append(paths, path)
	}
	for i, p := range parts {
		f, err := os.OpenFile(paths[i], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		_, err = f.Write(p.body)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, errors.Join(fmt.Errorf("write %s: %w", paths[i], err), os.Remove(paths[i]))
		}
	}
	return paths, nil
}

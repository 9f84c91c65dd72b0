package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server"
)

var backupFlags = []cli.Flag{
	&cli.PathFlag{Name: "config", Usage: "the server's configuration `FILE`"},
	&cli.PathFlag{Name: "data", Usage: "the server's data `FOLDER`", Value: "data"},
	&cli.PathFlag{Name: "passphrase-file", Usage: "a `FILE` with the passphrase of the backup", EnvVars: []string{"WARD_BACKUP_PASSPHRASE_FILE"}},
}

func newBackupCommand() *cli.Command {
	return &cli.Command{
		Name: "backup", ArgsUsage: "FILE",
		Usage: "write the database and the keys, encrypted under a passphrase, to a file",
		Description: "The server may go on running. The file holds all that is needed to restore, the\n" +
			"keys among it, so keep its passphrase elsewhere. It is an age file: any age\n" +
			"program opens it. It restores into SQLite and PostgreSQL alike.",
		Flags: backupFlags, Action: backup,
	}
}

func newRestoreCommand() *cli.Command {
	return &cli.Command{
		Name: "restore", ArgsUsage: "FILE",
		Usage: "read a backup into a new data folder",
		Description: "The data folder, or the PostgreSQL database that --config names, must be empty.\n" +
			"Stop the server that the backup was made of: two of one name can't both be\n" +
			"what devices talk to.",
		Flags: backupFlags, Action: restore,
	}
}

func backup(c *cli.Context) (err error) {
	args, err := arguments(c, "FILE")
	if err != nil {
		return err
	}
	pass, err := passphrase(c)
	if err != nil {
		return err
	}
	cfg, err := consoleConfig(c)
	if err != nil {
		return err
	}
	part := args[0] + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return ward.Errorf(ward.Invalid, "The backup can't be written: %v.", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(part))
		}
	}()
	if err := server.Backup(c.Context, cfg, f, pass); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(part, args[0]); err != nil {
		return err
	}
	st, err := os.Stat(args[0])
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintf(c.App.Writer, "Wrote %s, %d bytes.\n", args[0], st.Size()); err != nil {
		return err
	}
	return tellElsewhere(c.App.Writer, cfg, "It does not hold these keys, which never leave their place:", "Should that be lost, a new issuer takes over: docs/certificates.md, Keys.")
}

func restore(c *cli.Context) error {
	args, err := arguments(c, "FILE")
	if err != nil {
		return err
	}
	pass, err := passphrase(c)
	if err != nil {
		return err
	}
	cfg, err := consoleConfig(c)
	if err != nil {
		return err
	}
	f, err := os.Open(args[0])
	if err != nil {
		return ward.Errorf(ward.Invalid, "The backup can't be read: %v.", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if err := server.Restore(c.Context, cfg, f, pass); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "Restored into %s. Start the server with the same public address as before.\n", filepath.Clean(cfg.Data))
	if err != nil {
		return err
	}
	return tellElsewhere(c.App.Writer, cfg, "The backup has not these keys of issuers, which never leave their place:",
		"The server starts only where it reaches them. Where one is gone for good, put an empty file named lost\ninto its issuer's folder, keys/ca/N, and then: ward ca rotate "+consoleWords(c)+" --key file")
}

func consoleConfig(c *cli.Context) (server.Config, error) {
	if path := c.Path("config"); path != "" {
		return server.LoadConfig(path)
	}
	cfg := server.DefaultConfig()
	cfg.Data = c.Path("data")
	return cfg, nil
}

// passphrase reads the passphrase of a backup from its file.
func passphrase(c *cli.Context) (string, error) {
	path := c.Path("passphrase-file")
	if path == "" {
		return "", usagef(c, "The backup is encrypted: name the file with its passphrase by --passphrase-file.")
	}
	b, err := readFile("the passphrase", path)
	if err != nil {
		return "", err
	}
	pass := strings.TrimRight(string(b), "\r\n")
	if len(pass) < 12 {
		return "", ward.Errorf(ward.Invalid, "The passphrase in %s is shorter than 12 characters.", path)
	}
	return pass, nil
}

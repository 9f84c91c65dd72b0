package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// The exit statuses, the same for every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	// exitChanges is for those who asked to be told so. It is not 2, as of terraform plan,
	// so that a broken pipeline does not read as a change.
	exitChanges = 3
)

func newApp() *cli.App {
	app := &cli.App{
		Name:  "ward",
		Usage: "device management for organisations that hold patient data",
		Description: "Commands for a running server read its address from WARD_URL, a token from\n" +
			"WARD_TOKEN and, where the server's certificate is not publicly trusted, the file\n" +
			"of its authority from WARD_CA.\n\n" +
			"Exit status: 0 done, 1 failed, 2 used wrongly, 3 something would change\n(policy plan --detailed-exitcode).",
		HideVersion:     true,
		HideHelpCommand: true,
		Commands: []*cli.Command{
			newServeCommand(), newDemoCommand(), newSeedCommand(), newBackupCommand(), newRestoreCommand(),
			newDeviceCommand(), newInviteCommand(), newLostCommand(), newCaseCommand(), newDrillCommand(),
			newOrderCommand(), newBrakeCommand(), newApproverCommand(), newGlassCommand(), newNotifyCommand(),
			newPolicyCommand(), newCommandCommand(), newPersonCommand(), newRoleCommand(), newSessionCommand(), newTokenCommand(),
			newCatalogueCommand(),
			newAuditCommand(), newEvidenceCommand(), newHealthCommand(), newAPNsCommand(), newCACommand(),
		},
		Action: group("ward"),
		// The status is ours to decide: the library would end the program itself.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   misused,
	}
	for _, c := range app.Commands {
		prepare("ward", c)
	}
	return app
}

// prepare gives a command and those beneath it the same manners.
func prepare(path string, c *cli.Command) {
	path += " " + c.Name
	c.OnUsageError, c.HideHelpCommand = misused, true
	for _, f := range c.Flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true
		}
	}
	if c.Action == nil {
		c.Action = group(path)
	}
	for _, sub := range c.Subcommands {
		prepare(path, sub)
	}
}

// usageError is a mistake in how the command was called.
type usageError struct{ message, help string }

func (e *usageError) Error() string { return e.message }

func usagef(c *cli.Context, format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), help: "ward " + strings.TrimPrefix(c.Command.HelpName, "ward ")}
}

func misused(c *cli.Context, err error, _ bool) error {
	text := strings.Replace(err.Error(), "flag provided but not defined: -", "there is no flag --", 1)
	return usagef(c, "%s", text)
}

func exitCode(err error) int {
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.status
	}
	switch _, wrong := errors.AsType[*usageError](err); {
	case err == nil:
		return exitDone
	case wrong:
		return exitUsage
	}
	return exitFailed
}

// explain puts an error in the words that end the command.
func explain(ctx context.Context, err error) string {
	if u, ok := errors.AsType[*usageError](err); ok {
		help := u.help
		if help == "ward ward" {
			help = "ward"
		}
		return fmt.Sprintf("%s\n%q tells more.", u.message, help+" --help")
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return cleanLines(err.Error())
}

// group is the action of a command that only holds others.
func group(path string) cli.ActionFunc {
	return func(c *cli.Context) error {
		commands := c.Command.Subcommands
		if c.NArg() > 0 {
			return usagef(c, "%s has no command %q%s", path, c.Args().First(), nearest(c.Args().First(), commands))
		}
		if path == "ward" {
			return cli.ShowAppHelp(c)
		}
		return usagef(c, "%s needs a command: %s.", path, strings.Join(names(commands), ", "))
	}
}

func names(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

// nearest suggests the command that was probably meant.
func nearest(word string, commands []*cli.Command) string {
	if s := cli.SuggestCommand(commands, word); s != "" {
		return ". " + strings.ReplaceAll(s, `"`, "'")
	}
	return "."
}

// arguments returns the command's arguments, one for each name, or says which is
// missing or too many.
func arguments(c *cli.Context, names ...string) ([]string, error) {
	switch n := c.NArg(); {
	case n < len(names):
		return nil, usagef(c, "%s is missing.", strings.Join(names[n:], " and "))
	case n > len(names):
		return nil, usagef(c, "%q is one argument too many.", c.Args().Get(len(names)))
	}
	for i, name := range names {
		if strings.TrimSpace(c.Args().Get(i)) == "" {
			return nil, usagef(c, "%s is empty.", name)
		}
	}
	return c.Args().Slice(), nil
}

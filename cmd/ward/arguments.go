package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// interspersed moves flags before the arguments of their command, because people write
// `ward device show SERIAL --json` and the library stops at the first argument. What
// follows "--" stays an argument.
func interspersed(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	out, flags, commands := args[:1:1], app.Flags, app.Commands
	var rest []string
	for words := args[1:]; len(words) > 0; {
		word := words[0]
		words = words[1:]
		if word == "--" {
			rest = append(rest, words...)
			break
		}
		if len(word) > 1 && word[0] == '-' {
			out = append(out, word)
			if wantsValue(flags, word) && len(words) > 0 {
				out, words = append(out, words[0]), words[1:]
			}
			continue
		}
		next := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		if next < 0 || len(rest) > 0 {
			rest = append(rest, word)
			continue
		}
		out = append(out, word)
		flags, commands = commands[next].Flags, commands[next].Subcommands
	}
	if len(rest) > 0 {
		out = append(append(out, "--"), rest...)
	}
	return out
}

// wantsValue reports whether the flag takes the next word.
func wantsValue(flags []cli.Flag, word string) bool {
	name, _, joined := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool && !joined
		}
	}
	return false
}

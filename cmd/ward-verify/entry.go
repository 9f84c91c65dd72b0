package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/audit/verify"
)

// entryResult is what --json prints of one entry.
type entryResult struct {
	Verified bool      `json:"verified"`
	Log      string    `json:"log"`
	Size     int64     `json:"size"`
	Root     string    `json:"root"`
	Index    int64     `json:"index"`
	At       time.Time `json:"at"`
	Action   string    `json:"action"`
	Who      string    `json:"who,omitempty"`
	What     string    `json:"what,omitempty"`
}

// checkEntry checks the file of one entry.
func checkEntry(a arguments, stdin io.Reader) (any, string, error) {
	key, _, err := a.held()
	if err != nil {
		return nil, "", err
	}
	f, err := open(a.file, "file", stdin)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	r, err := verify.VerifyEntry(f, key)
	if err != nil {
		return nil, "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Verified: entry %d stands in the log %s of %d entries.\n", r.Index, r.Log, r.Size)
	fmt.Fprintf(&b, "at:     %s\naction: %s\n", r.At.UTC().Format(time.RFC3339), r.Action)
	if r.Who != "" {
		fmt.Fprintf(&b, "who:    %s\n", r.Who)
	}
	if r.What != "" {
		fmt.Fprintf(&b, "what:   %s\n", r.What)
	}
	return entryResult{true, r.Log, r.Size, r.Root.String(), r.Index, r.At, r.Action, r.Who, r.What}, b.String(), nil
}

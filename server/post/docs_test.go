package post

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// documented returns the program in a language that docs/notifications.md gives.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "notifications.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)\n```").FindSubmatch(text)
	if m == nil {
		t.Fatalf("docs/notifications.md has no program in %s", language)
	}
	return string(m[1]) + "\n"
}

const aroundFromWard = `package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	body, err := os.ReadFile("body.json")
	if err != nil {
		panic(err)
	}
	h := http.Header{}
	for _, name := range []string{"Id", "Timestamp", "Signature"} {
		h.Set("Webhook-"+name, os.Getenv("WEBHOOK_"+strings.ToUpper(name)))
	}
	if !fromWard(h, body, os.Getenv("SECRET"), time.Now()) {
		os.Exit(1)
	}
}

`

// TestDocumentedVerification runs the programs of docs/notifications.md: they take what Ward
// sends, and refuse what is changed, old or signed by another.
func TestDocumentedVerification(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		language string
		needs    []string
		make     func(dir string) (program string, args []string)
	}{
		{"sh", []string{"sh", "openssl", "od"}, func(dir string) (string, []string) {
			writeFile(t, dir, "verify.sh", documented(t, "sh"))
			return "sh", []string{"verify.sh"}
		}},
		{"go", []string{"go"}, func(dir string) (string, []string) {
			writeFile(t, dir, "main.go", aroundFromWard+documented(t, "go"))
			writeFile(t, dir, "go.mod", "module verify\n\ngo 1.24\n")
			build := exec.CommandContext(t.Context(), "go", "build", "-o", "verify", ".")
			build.Dir, build.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return filepath.Join(dir, "verify"), nil
		}},
	} {
		t.Run(tt.language, func(t *testing.T) {
			t.Parallel()
			for _, program := range tt.needs {
				if _, err := exec.LookPath(program); err != nil {
					if os.Getenv("CI") == "true" {
						t.Fatalf("%s is not installed, and CI must not skip", program)
					}
					t.Skipf("SKIPPED: %s is not installed, so the documented verification in %s was not tested", program, tt.language)
				}
			}
			dir := t.TempDir()
			program, args := tt.make(dir)
			verify(t, dir, program, args)
		})
	}
}

func verify(t *testing.T, dir, program string, args []string) {
	t.Helper()
	s, got := receiver(t, nil)
	keys, err := ParseKeys(twoKeys)
	if err != nil {
		t.Fatal(err)
	}
	if err := hook(t, s, func(c *HookConfig) { c.Keys, c.Now = keys, time.Now }).Send(t.Context(), aMessage()); err != nil {
		t.Fatal(err)
	}
	r := <-got
	first, second, _ := strings.Cut(strings.TrimSpace(twoKeys), "\n")
	for _, c := range []struct {
		name, secret, body string
		old, want          bool
	}{
		{"genuine", first, r.body, false, true},
		{"by the second key", "whsec_" + second, r.body, false, true},
		{"changed", first, strings.Replace(r.body, "true", "false", 1), false, false},
		{"old", first, r.body, true, false},
		{"another's", "whsec_" + strings.Repeat("QUJD", 10), r.body, false, false},
	} {
		h := r.header.Clone()
		if c.old {
			h = http.Header{}
			aged := hook(t, s, func(h *HookConfig) { h.Keys, h.Now = keys, func() time.Time { return time.Now().Add(-time.Hour) } })
			aged.sign(h, "msg-1", []byte(c.body))
		}
		writeFile(t, dir, "body.json", c.body)
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SECRET="+c.secret, "WEBHOOK_ID="+h.Get("Webhook-Id"), "WEBHOOK_TIMESTAMP="+h.Get("Webhook-Timestamp"), "WEBHOOK_SIGNATURE="+h.Get("Webhook-Signature"))
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.want {
			t.Errorf("%s: taken %t, want %t: %v\n%s", c.name, err == nil, c.want, err, out)
		}
	}
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

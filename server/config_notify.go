package server

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/post"
)

// Notify says how the people on call are told what can't wait.
type Notify struct {
	Email    NotifyEmail     `yaml:"email"`
	Webhooks []NotifyWebhook `yaml:"webhooks"`
}

// NotifyEmail is the relay that takes e-mail, and who gets it.
type NotifyEmail struct {
	Host         string        `yaml:"host"`
	Port         int           `yaml:"port"`
	TLS          post.Security `yaml:"tls"`
	CA           string        `yaml:"ca"`
	Username     string        `yaml:"username"`
	PasswordFile string        `yaml:"password_file"`
	From         string        `yaml:"from"`
	To           []string      `yaml:"to"`
}

// NotifyWebhook is a program that is told.
type NotifyWebhook struct {
	Name       string         `yaml:"name"`
	URL        string         `yaml:"url"`
	URLFile    string         `yaml:"url_file"`
	SecretFile string         `yaml:"secret_file"`
	Format     post.Format    `yaml:"format"`
	Topics     []notify.Topic `yaml:"topics"`
	CA         string         `yaml:"ca"`
}

// mistakes reports what is wrong, and reads the files that are named. It tells no secret.
func (n Notify) mistakes(bad func(field, format string, args ...any)) {
	n.Email.mistakes(func(field, format string, args ...any) { bad("notify.email."+field, format, args...) })
	names := map[string]bool{}
	for i, w := range n.Webhooks {
		wrong := func(field, format string, args ...any) {
			bad(fmt.Sprintf("notify.webhooks[%d].%s", i, field), format, args...)
		}
		if names[w.Name] {
			wrong("name", "two webhooks are called %q", w.Name)
		}
		names[w.Name] = true
		w.mistakes(wrong)
	}
}

func (e NotifyEmail) mistakes(wrong func(field, format string, args ...any)) {
	if e.Host == "" {
		if e.Port != 0 || e.TLS != "" || e.CA != "" || e.Username != "" || e.PasswordFile != "" || e.From != "" || len(e.To) > 0 {
			wrong("host", "it is empty, but there are other settings for e-mail: name the relay")
		}
		return
	}
	if strings.ContainsAny(e.Host, "/:@ ") && !strings.Contains(e.Host, "::") {
		wrong("host", "%q is not the name or address of a relay; its port stands in port", e.Host)
	}
	if e.Port < 0 || e.Port > 65535 {
		wrong("port", "%d is not a port", e.Port)
	}
	switch {
	case e.TLS != "" && !e.TLS.Valid():
		wrong("tls", "%q is not starttls, tls or none", e.TLS)
	case e.TLS == post.Plain && !post.Loopback(e.Host):
		wrong("tls", "none is for a relay on this machine: what is sent names devices and people")
	case e.TLS == post.Plain && e.Username != "":
		wrong("username", "without TLS nobody signs in")
	}
	if (e.Username == "") != (e.PasswordFile == "") {
		wrong("password_file", "it and username need each other")
	} else if _, err := e.password(); err != nil {
		wrong("password_file", "%s", without("password_file", err))
	}
	if _, err := notifyRoots(e.CA); err != nil {
		wrong("ca", "%s", without("ca", err))
	}
	if _, err := post.CheckFrom(e.From); err != nil {
		wrong("from", "%v", err)
	}
	if len(e.To) == 0 {
		wrong("to", "name who is on call")
	}
	for i, to := range e.To {
		if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
			wrong(fmt.Sprintf("to[%d]", i), "%q is not an e-mail address", to)
		}
	}
}

var webhookName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

func (w NotifyWebhook) mistakes(wrong func(field, format string, args ...any)) {
	if !webhookName.MatchString(w.Name) {
		wrong("name", "%q is not a name of at most 40 lower-case letters, digits and hyphens", w.Name)
	}
	field := "url"
	if w.URLFile != "" {
		field = "url_file"
	}
	if (w.URL == "") == (w.URLFile == "") {
		wrong("url", "give its address by one of url and url_file")
	} else if address, err := w.address(); err != nil {
		wrong(field, "%s", without(field, err))
	} else if err := post.CheckURL(address); err != nil {
		wrong(field, "%v", err)
	}
	if w.Format != "" && !w.Format.Valid() {
		wrong("format", "%q is not ward, slack or teams", w.Format)
	}
	if w.SecretFile == "" && (w.Format == "" || w.Format == post.FormatWard) {
		wrong("secret_file", "name the file with the key that signs, so that a receiver can tell Ward from others")
	} else if _, err := w.keys(); err != nil {
		wrong("secret_file", "%s", without("secret_file", err))
	}
	for i, t := range w.Topics {
		if !t.Valid() {
			wrong(fmt.Sprintf("topics[%d]", i), "there is no topic %q; docs/notifications.md lists them", t)
		}
	}
	if _, err := notifyRoots(w.CA); err != nil {
		wrong("ca", "%s", without("ca", err))
	}
}

func (e NotifyEmail) password() (string, error) {
	if e.PasswordFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(e.PasswordFile)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" || strings.ContainsAny(password, "\r\n\x00") {
		return "", ward.Errorf(ward.Invalid, "%s does not hold one line with the password", e.PasswordFile)
	}
	return password, nil
}

// address returns where the webhook is. At Slack and Microsoft it is the secret.
func (w NotifyWebhook) address() (string, error) {
	if w.URLFile == "" {
		return w.URL, nil
	}
	b, err := os.ReadFile(w.URLFile)
	return string(bytes.TrimSpace(b)), err
}

func (w NotifyWebhook) keys() ([][]byte, error) {
	if w.SecretFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(w.SecretFile)
	if err != nil {
		return nil, err
	}
	return post.ParseKeys(string(b))
}

// notifyRoots returns the authorities of a file, nil for none: then the system's hold.
func notifyRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	all, err := readAuthorities("ca", []string{path})
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool, nil
}

// senders returns by what people are told; email is nil without a relay.
func (n Notify) senders(publicURL string, now func() time.Time) (email notify.Sender, hooks []notify.Webhook, err error) {
	if n.Email.Host != "" {
		if email, err = n.Email.sender(publicURL); err != nil {
			return nil, nil, ward.Errorf(ward.Invalid, "notify.email: %v.", err)
		}
	}
	for _, w := range n.Webhooks {
		s, err := w.sender(now)
		if err != nil {
			return nil, nil, ward.Errorf(ward.Invalid, "notify.webhooks: %s: %v.", w.Name, err)
		}
		hooks = append(hooks, notify.Webhook{Name: w.Name, Topics: w.Topics, Sender: s})
	}
	return email, hooks, nil
}

func (e NotifyEmail) sender(publicURL string) (notify.Sender, error) {
	password, err := e.password()
	if err != nil {
		return nil, err
	}
	roots, err := notifyRoots(e.CA)
	if err != nil {
		return nil, err
	}
	self, err := url.Parse(publicURL)
	if err != nil {
		return nil, err
	}
	return post.NewMail(post.MailConfig{
		Host: e.Host, Port: e.Port, Security: e.TLS, Roots: roots, Username: e.Username, Password: password, From: e.From, Hello: self.Hostname(),
	})
}

func (w NotifyWebhook) sender(now func() time.Time) (notify.Sender, error) {
	address, err := w.address()
	if err != nil {
		return nil, err
	}
	keys, err := w.keys()
	if err != nil {
		return nil, err
	}
	roots, err := notifyRoots(w.CA)
	if err != nil {
		return nil, err
	}
	return post.NewHook(post.HookConfig{URL: address, Format: w.Format, Keys: keys, Roots: roots, Now: now})
}

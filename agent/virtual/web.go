package virtual

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward/agent"
)

// webRules are what the content filters of all profiles make of an address. They reach
// every app of the device.
type webRules struct {
	denied    []string // pages whose address begins so do not open
	permitted []string // but these do
	only      []string // nothing else opens
	limited   bool     // only is in force, even if it is empty
}

// checkWebFilter holds a content filter against what this device takes: a Mac has no
// filter of its own, and without supervision iOS takes one only from iOS 16, only as a
// plug-in, and only for the managed apps that name its ContentFilterUUID.
// Source: Apple, WebContentFilter payload.
func (b *body) checkWebFilter(q agent.Payload) error {
	plugin := q.Content["FilterType"] == "Plugin"
	switch {
	case plugin && q.Content["PluginBundleID"] == nil:
		return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: 2002, Text: "a filter of type Plugin needs PluginBundleID"}
	case b.mac() && !plugin:
		return refusal(codeInstallFailed, "a Mac takes filters of type Plugin only")
	case b.mac() || b.opt.Supervised:
		return nil
	case !b.since("16.0", never) || q.Content["ContentFilterUUID"] == nil || !plugin:
		return refusal(codeSupervision, "without supervision a content filter needs ContentFilterUUID and a plug-in")
	}
	return nil
}

// sumWeb combines the built-in filters: what any denies is denied, and what is permitted
// is what all permit. Source: Apple, Configuration Profile Reference, Web Content Filter.
func (b *body) sumWeb() webRules {
	var w webRules
	permits, first := []string(nil), true
	for _, h := range b.profiles {
		for _, q := range h.payloads {
			if q.Type != typeWebFilter || q.Content["FilterType"] == "Plugin" {
				continue
			}
			w.denied = append(w.denied, stringsOf(q.Content["BlacklistedURLs"])...)
			if b.since("14.5", never) {
				w.denied = append(w.denied, stringsOf(q.Content["DenyListURLs"])...)
			}
			if q.Content["AutoFilterEnabled"] == true {
				permits = rule{how: common}.addList(permits, !first, stringsOf(q.Content["PermittedURLs"]))
				first = false
			}
			w.limit(q.Content["WhitelistedBookmarks"])
			if b.since("14.5", never) {
				w.limit(q.Content["AllowListBookmarks"])
			}
		}
	}
	w.permitted = permits
	for _, list := range [][]string{w.denied, w.permitted, w.only} {
		for i, u := range list {
			list[i] = root(u)
		}
	}
	return w
}

// limit adds the bookmarks of one filter.
func (w *webRules) limit(v any) {
	list, ok := v.([]any)
	if !ok {
		return
	}
	urls := make([]string, 0, len(list))
	for _, x := range list {
		m, _ := x.(map[string]any)
		if u, ok := m["URL"].(string); ok {
			urls = append(urls, u)
		}
	}
	w.only = rule{how: common}.addList(w.only, w.limited, urls)
	w.limited = true
}

// root is an address in the form in which they are compared: without the www.
func root(url string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(url, scheme+"www."); ok {
			return scheme + rest
		}
	}
	return url
}

// CanOpenURL returns nil if the built-in content filter lets a web page open in any app.
// An entry of a list matches an address that begins with it, scheme included, where a
// leading www. does not count; a page in a subdomain does not begin so. Filters that are
// plug-ins and the judgement of AutoFilterEnabled belong to others and count as open.
// Source: Apple, Configuration Profile Reference, Web Content Filter ("string-based root
// matching").
func (b *body) CanOpenURL(url string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.effects().web
	if len(w.denied) == 0 && !w.limited {
		return nil
	}
	u := root(url)
	begins := func(entry string) bool { return strings.HasPrefix(u, entry) || u == strings.TrimSuffix(entry, "/") }
	switch {
	case w.limited && !slices.ContainsFunc(w.only, begins):
		return fmt.Errorf("%s: %w: not in AllowListBookmarks", url, ErrBlocked)
	case slices.ContainsFunc(w.permitted, begins):
		return nil
	case slices.ContainsFunc(w.denied, begins):
		return fmt.Errorf("%s: %w: DenyListURLs", url, ErrBlocked)
	}
	return nil
}

package catalogue_test

import (
	"strings"
	"testing"

	"github.com/wardmdm/ward/profiles/catalogue"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"courier.push.apple.com":    "because all of push.apple.com is needed",
		"push.apple.com":            "push.apple.com must stay reachable: Apple's push",
		"*.Apple.com.":              "apple.com must stay reachable",
		"com":                       "must stay reachable",
		"google.com":                "name the host of the chat instead",
		"clients.google.com":        "android.clients.google.com is beneath it",
		"googleapis.com":            "Android management",
		"fcm.googleapis.com":        "all of googleapis.com",
		"live.com":                  "because login.live.com is beneath it",
		"facebook.com":              "messenger.com",
		"graph.facebook.com":        "sign in",
		"appspot.com":               "cloud",
		"herokuapp.com":             "many owners",
		"github.io":                 "many owners",
		"t.co":                      "links",
		"qq.com":                    "mail",
		"trust.nhs.uk":              "all of nhs.uk",
		"d111.akamaized.net":        "delivery network",
		"localhost":                 "many owners",
		"1.1.168.192.in-addr.arpa":  "name system",
		"192.168.1.1":               "address",
		"2001:db8::1":               "address",
		"":                          "no host name",
		"https://web.whatsapp.com/": "no host name",
		"two words.com":             "no host name",
	} {
		reason, refused := catalogue.Refused(host)
		if !refused || !strings.Contains(reason, want) || !strings.HasSuffix(reason, ".") && !strings.HasSuffix(reason, ").") {
			t.Errorf("Refused(%q) = %q, %v; want a sentence with %q", host, reason, refused, want)
		}
	}
	for _, host := range []string{
		"web.whatsapp.com", "whatsapp.net", "messenger.com", "edge-chat.facebook.com", "weixin.qq.com", "web.threema.ch",
		"feelinsonice.appspot.com", "messages.google.com", "teams.live.com", "web.skype.com", "t.me", "app.element.io", "bücher.example",
	} {
		if reason, refused := catalogue.Refused(host); refused {
			t.Errorf("Refused(%q) = %q, want it allowed", host, reason)
		}
	}
}

func TestMustReachIsSound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, n := range catalogue.MustReach() {
		if n.Reason == "" || strings.HasSuffix(n.Reason, ".") {
			t.Errorf("%s has the reason %q, want words without a full stop", n.Host, n.Reason)
		}
		if seen[n.Host] {
			t.Errorf("%s stands there twice", n.Host)
		}
		seen[n.Host] = true
		if _, refused := catalogue.Refused(n.Host); !refused {
			t.Errorf("%s is not refused", n.Host)
		}
		if _, refused := catalogue.Refused("any." + n.Host); refused != n.Under && n.Host != "facebook.com" {
			t.Errorf("any.%s: refused is %v, want %v", n.Host, refused, n.Under)
		}
	}
	for _, host := range []string{"push.apple.com", "icloud.com", "apple.com", "googleapis.com", "gstatic.com", "mtalk.google.com", "appspot.com", "amazonaws.com", "cloudfront.net", "t.co", "facebook.com", "fbcdn.net", "graph.facebook.com", "skype.com", "threema.ch", "wire.com", "element.io", "matrix.org", "qq.com", "kakao.com"} {
		if !seen[host] {
			t.Errorf("%s is not listed", host)
		}
	}
}

// What is blocked never holds a shared host, whatever app it stands in.
func TestBlockableHoldsNoSharedHost(t *testing.T) {
	t.Parallel()
	hosts := map[string]bool{}
	for _, a := range catalogue.Builtin().Apps() {
		for _, h := range append(a.BlockableWeb(), a.BlockableNetwork()...) {
			hosts[h.ID] = true
			if reason, refused := catalogue.Refused(h.ID); refused || h.Shared {
				t.Errorf("%s would block %s: %s", a.Slug, h.ID, reason)
			}
		}
	}
	for _, h := range []string{"facebook.com", "qq.com", "kakao.com", "twimg.com"} {
		if hosts[h] {
			t.Errorf("%s would be blocked", h)
		}
	}
	if !hosts["web.whatsapp.com"] || !hosts["whatsapp.net"] || len(hosts) < 100 {
		t.Errorf("%d hosts can be blocked, want at least 100 with those of WhatsApp", len(hosts))
	}
}

func FuzzRefused(f *testing.F) {
	for _, host := range []string{"web.whatsapp.com", "*.apple.com.", "", ".", "..", "xn--", "\x00", strings.Repeat("a.", 200)} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		reason, refused := catalogue.Refused(host)
		if refused != (reason != "") {
			t.Errorf("Refused(%q) = %q, %v", host, reason, refused)
		}
		// What stands beneath an allowed name may be needed, never what stands above a needed one.
		if !refused && strings.HasSuffix(strings.TrimSuffix(strings.ToLower(host), "."), ".push.apple.com") {
			t.Errorf("Refused(%q) allows Apple's push service to be blocked", host)
		}
	})
}

package web_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// eye looks at pages in a tab of its own.
type eye struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // a tab is its context
	close  context.CancelFunc
	w      *world
	script string // of axe

	mu      sync.Mutex
	console []string
}

// newEye opens a tab.
func newEye(browser context.Context, w *world, script string) *eye {
	e := &eye{t: w.t, w: w, script: script}
	e.ctx, e.close = chromedp.NewContext(browser)
	chromedp.ListenTarget(e.ctx, func(ev any) { //nolint:contextcheck // the tab's, which is the browser's
		switch ev := ev.(type) {
		case *browserlog.EventEntryAdded:
			if !strings.Contains(ev.Entry.Text, "Failed to load resource") { // the page of an error is itself one
				e.say(ev.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			e.say(ev.ExceptionDetails.Error())
		}
	})
	if err := chromedp.Run(e.ctx, browserlog.Enable()); err != nil { //nolint:contextcheck // likewise
		e.t.Errorf("open a tab: %v", err)
	}
	return e
}

func (e *eye) say(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.console = append(e.console, text)
}

// heard returns what the console said since it was last asked.
func (e *eye) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.console
	e.console = nil
	return out
}

// look checks a page on all screens.
func (e *eye) look(s sight) {
	e.heard()
	if err := visit(e.ctx, device(1280, 800, "light"), s.open(e.w.url), loaded(), chromedp.Evaluate(e.script+";0", nil)); err != nil {
		e.t.Errorf("%s: %v", s.name, err)
		return
	}
	var wrong bool
	if err := chromedp.Run(e.ctx, chromedp.Evaluate(`document.querySelector("[data-problem]") !== null`, &wrong)); err != nil {
		e.t.Errorf("%s: %v", s.name, err)
	}
	if want := strings.HasSuffix(s.name, "-wrong"); wrong != want {
		e.t.Errorf("%s: it says that there is a problem: %t, want %t", s.name, wrong, want)
	}
	for _, l := range looks {
		name := fmt.Sprintf("%s-%d-%s", s.name, l.width, l.scheme)
		var found string
		var wide int64
		err := chromedp.Run(e.ctx, device(l.width, l.height, l.scheme),
			chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
			chromedp.Evaluate(`axe.run({resultTypes: ["violations"], runOnly:`+l.rules+`}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, impact: v.impact, nodes: v.nodes.map(n => n.html + " " + n.any.map(a => a.message).join(" "))}))))`, &found, awaited))
		if err != nil {
			e.t.Errorf("%s: %v", name, err)
			return
		}
		report(e.t, name, found)
		if wide > l.width {
			e.t.Errorf("%s is %d px wide, want no more than the screen's %d", name, wide, l.width)
		}
		e.w.picture(e.ctx, name)
	}
	if e.w.pictures() != "" {
		if err := chromedp.Run(e.ctx, device(768, 1024, "light")); err != nil {
			e.t.Errorf("%s: %v", s.name, err)
		}
		e.w.picture(e.ctx, s.name+"-768-light")
	}
	if said := e.heard(); len(said) > 0 {
		e.t.Errorf("%s: the console says %q", s.name, said)
	}
}

package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// paints is how often the overview is shown afresh.
const paints = 7

// firstPaint returns the median time, in milliseconds, until Chromium shows something of the
// overview, with nothing kept from before.
func firstPaint(ctx context.Context, b *browser) (float64, error) {
	address, err := url.Parse(b.url)
	if err != nil {
		return 0, err
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.Flag("ignore-certificate-errors", true))
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	signIn := chromedp.ActionFunc(func(ctx context.Context) error {
		for _, c := range b.jar.Cookies(address) {
			if err := network.SetCookie(c.Name, c.Value).WithURL(b.url).WithSecure(true).WithHTTPOnly(true).WithPath("/").Do(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err := chromedp.Run(ctx, network.Enable(), network.SetCacheDisabled(true), signIn); err != nil {
		return 0, fmt.Errorf("browser: %w", err)
	}
	var all []float64
	for range paints {
		var at float64
		if err := chromedp.Run(ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(b.url+"/")); err != nil {
			return 0, fmt.Errorf("browser: open the overview: %w", err)
		}
		err := chromedp.Run(ctx, chromedp.Evaluate(
			`new Promise(done => { const look = () => { const e = performance.getEntriesByName("first-contentful-paint")[0]; e && document.querySelector("main") ? done(e.startTime) : setTimeout(look, 20) }; look() })`,
			&at, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		if err != nil {
			return 0, fmt.Errorf("browser: the first paint: %w", err)
		}
		all = append(all, at)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}

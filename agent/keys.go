package agent

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// keyBits is the size of an identity key: what Apple devices make for SCEP.
const keyBits = 2048

// NewKey makes one RSA-2048 key. It takes tenths of a second: see KeyPool.
func NewKey(context.Context) (*rsa.PrivateKey, error) {
	k, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return k, nil
}

// KeyPool holds keys that were made ahead, for programs that run many devices.
type KeyPool struct{ ready chan *rsa.PrivateKey }

// NewKeyPool makes n keys with the given number of workers (at least 1) and returns
// when all are ready.
func NewKeyPool(ctx context.Context, n, workers int) (*KeyPool, error) {
	p := &KeyPool{ready: make(chan *rsa.PrivateKey, n)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(workers, 1))
	for range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			k, err := NewKey(ctx)
			if err == nil {
				p.ready <- k
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("fill key pool: %w", err)
	}
	return p, nil
}

// Key returns a key that nobody else got; an empty pool makes one.
func (p *KeyPool) Key(ctx context.Context) (*rsa.PrivateKey, error) {
	select {
	case k := <-p.ready:
		return k, nil
	default:
		return NewKey(ctx)
	}
}

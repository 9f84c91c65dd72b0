package estate

import (
	"context"
	"time"
)

// settleSpans keeps since when and until when findings were there. Nothing keeps them here.
func (s *Service) settleSpans(context.Context, *Device, Device, time.Time) error { return nil }

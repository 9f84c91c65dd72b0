package server

import (
	"slices"

	nanolog "github.com/micromdm/nanolib/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func logLevel(name string) (zapcore.Level, error) { return zapcore.ParseLevel(name) }

// newLog makes the log on standard error.
func newLog(c Log) (*zap.Logger, error) {
	level, err := logLevel(c.Level)
	if err != nil {
		return nil, err
	}
	z := zap.NewProductionConfig()
	z.Level = zap.NewAtomicLevelAt(level)
	z.EncoderConfig.TimeKey = "at"
	z.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	z.DisableStacktrace = true
	z.Sampling = nil
	if c.Format == "text" {
		z.Encoding = "console"
	}
	return z.Build()
}

// protocolLog gives nanomdm's handlers Ward's log. Its messages vary, so they stand in
// a field; raw content, which can hold secrets of a device, is left out.
type protocolLog struct {
	z    *zap.Logger
	with []any
}

var _ nanolog.Logger = protocolLog{}

func (l protocolLog) fields(kv []any) []zap.Field {
	all := append(slices.Clip(l.with), kv...)
	var out []zap.Field
	for i := 0; i+1 < len(all); i += 2 {
		key, ok := all[i].(string)
		if !ok || key == "content" || key == "mdm-signature" {
			continue
		}
		if key == "msg" {
			key = "what"
		}
		out = append(out, zap.Any(key, all[i+1]))
	}
	return out
}

// Info meets nanolib's log.Logger.
func (l protocolLog) Info(kv ...any) { l.z.Info("device protocol", l.fields(kv)...) }

// Debug meets nanolib's log.Logger.
func (l protocolLog) Debug(kv ...any) {
	if ce := l.z.Check(zap.DebugLevel, "device protocol"); ce != nil {
		ce.Write(l.fields(kv)...)
	}
}

// With meets nanolib's log.Logger.
func (l protocolLog) With(kv ...any) nanolog.Logger {
	return protocolLog{l.z, append(slices.Clip(l.with), kv...)}
}

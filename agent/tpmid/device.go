package tpmid

import (
	"errors"
	"io"
	"net"
	"os"
)

// device is a TPM behind a file or a Unix socket. It is opened by the first command and
// again after Close, for the library closes it after each of its own calls; other programs
// can use the TPM in between. It is used by one goroutine at a time.
type device struct {
	path string
	rwc  io.ReadWriteCloser
}

// Write sends a command.
func (d *device) Write(p []byte) (int, error) {
	if d.rwc == nil {
		rwc, err := openDevice(d.path)
		if err != nil {
			return 0, err
		}
		d.rwc = rwc
	}
	return d.rwc.Write(p)
}

// Read returns the answer to the command before.
func (d *device) Read(p []byte) (int, error) {
	if d.rwc == nil {
		return 0, errors.New("tpm: nothing was asked")
	}
	return d.rwc.Read(p)
}

// Close frees the TPM for others.
func (d *device) Close() error {
	if d.rwc == nil {
		return nil
	}
	rwc := d.rwc
	d.rwc = nil
	return rwc.Close()
}

// MeasurementLog returns none: nothing here goes by how the computer was started.
func (*device) MeasurementLog() ([]byte, error) { return nil, nil }

func openDevice(path string) (io.ReadWriteCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeSocket != 0 {
		return net.Dial("unix", path) //nolint:noctx // the library's calls carry no context, and a local socket answers at once
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// Go's archive/zip as a judge (README.md). Argument: archive. Built into build/<preset>/judges.
package main

import (
	"archive/zip"
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

func report(out io.Writer, file *zip.File) error {
	content, err := file.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, content)
	if err != nil {
		return err
	}
	digest := fmt.Sprintf("%x", hash.Sum(nil))
	if file.FileInfo().IsDir() {
		digest = "-"
	}
	_, err = fmt.Fprintf(out, "go archive/zip\t%o\t=%d\t%d\t%s\t%s\n", file.Mode().Perm(), file.Modified.Unix(), size, digest, file.Name)
	return err
}

func run(path string) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer archive.Close()
	out := bufio.NewWriter(os.Stdout)
	for _, file := range archive.File {
		if err := report(out, file); err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	fmt.Fprintln(out, "end")
	return out.Flush()
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

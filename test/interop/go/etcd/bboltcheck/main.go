// Bboltcheck lets etcd's own storage library judge database files, change them, or write some for us to read.
//
//	bboltcheck dump FILE...             check each, print what is in it
//	bboltcheck churn SEED FILE...       change each by transactions as etcd would, check after every one, print
//	bboltcheck write SEED FILE...       make files of random content, by transactions that also delete, print
//
// For each file "file PATH SIZE", then for each bucket "bucket HEX RECORDS SHA256". The hash is over all records, key
// and value each after its length (4 bytes, little-endian).
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: bboltcheck dump FILE... | churn SEED FILE... | write SEED FILE...")
	}
	if args[0] == "dump" {
		return each(args[1:], dump)
	}
	seed, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewSource(seed))
	switch args[0] {
	case "churn":
		return each(args[2:], func(path string) error { return churn(path, random) })
	case "write":
		return each(args[2:], func(path string) error { return write(path, random) })
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func each(paths []string, act func(path string) error) error {
	for _, path := range paths {
		if err := act(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// As etcd opens its database.
func open(path string) (*bolt.DB, error) {
	return bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
}

func dump(path string) error {
	db, err := bolt.Open(path, 0o400, &bolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		for problem := range tx.Check() {
			return problem
		}
		fmt.Printf("file %s %d\n", path, tx.Size())
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			hash := sha256.New()
			records := 0
			err := bucket.ForEach(func(key, value []byte) error {
				records++
				for _, part := range [][]byte{key, value} {
					binary.Write(hash, binary.LittleEndian, uint32(len(part)))
					hash.Write(part)
				}
				return nil
			})
			fmt.Printf("bucket %x %d %x\n", name, records, hash.Sum(nil))
			return err
		})
	})
}

// Deletes and puts in runs, down to nothing and up again, which makes pages split, merge and vanish.
func churn(path string, random *rand.Rand) error {
	db, err := open(path)
	if err != nil {
		return err
	}
	model := map[string]map[string][]byte{}
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			records := map[string][]byte{}
			model[string(name)] = records
			return bucket.ForEach(func(key, value []byte) error {
				records[string(key)] = bytes.Clone(value)
				return nil
			})
		})
	})
	for round := 0; round < 12 && err == nil; round++ {
		err = db.Update(func(tx *bolt.Tx) error {
			for _, name := range names(model) {
				if err := change(tx.Bucket([]byte(name)), model[name], round, random); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = db.View(func(tx *bolt.Tx) error { return compare(tx, model) })
		}
	}
	db.Close()
	if err != nil {
		return err
	}
	return dump(path)
}

func change(bucket *bolt.Bucket, records map[string][]byte, round int, random *rand.Rand) error {
	keys := names(records)
	if len(keys) > 0 {
		from := random.Intn(len(keys))
		count := random.Intn(len(keys)-from) + 1
		if round == 8 {
			from, count = 0, len(keys)
		}
		for _, key := range keys[from : from+count] {
			if round%3 == 1 && random.Intn(2) == 0 {
				continue
			}
			if err := bucket.Delete([]byte(key)); err != nil {
				return err
			}
			delete(records, key)
		}
	}
	for i := random.Intn(300); i > 0; i-- {
		key, value := record(random)
		if err := bucket.Put(key, value); err != nil {
			return err
		}
		records[string(key)] = value
	}
	return nil
}

func compare(tx *bolt.Tx, model map[string]map[string][]byte) error {
	for problem := range tx.Check() {
		return problem
	}
	for name, records := range model {
		found := 0
		err := tx.Bucket([]byte(name)).ForEach(func(key, value []byte) error {
			found++
			if wanted, ok := records[string(key)]; !ok || !bytes.Equal(wanted, value) {
				return fmt.Errorf("bucket %q: wrong value at %x", name, key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if found != len(records) {
			return fmt.Errorf("bucket %q: %d records, expected %d", name, found, len(records))
		}
	}
	return nil
}

func write(path string, random *rand.Rand) error {
	options := &bolt.Options{
		NoFreelistSync: random.Intn(2) == 0,
		FreelistType:   bolt.FreelistMapType,
		PageSize:       4096 << random.Intn(3) >> random.Intn(3),
	}
	db, err := bolt.Open(path, 0o600, options)
	if err != nil {
		return err
	}
	model := map[string]map[string][]byte{}
	for i := random.Intn(12); i > 0; i-- {
		model[fmt.Sprintf("bucket %d", i)] = map[string][]byte{}
	}
	for round := random.Intn(9); round >= 0 && err == nil; round-- {
		err = db.Update(func(tx *bolt.Tx) error {
			for _, name := range names(model) {
				bucket, err := tx.CreateBucketIfNotExists([]byte(name))
				if err != nil {
					return err
				}
				if random.Intn(4) == 0 {
					continue
				}
				if err := change(bucket, model[name], round, random); err != nil {
					return err
				}
			}
			return nil
		})
	}
	db.Close()
	if err != nil {
		return err
	}
	return dump(path)
}

// Mostly small, now and then large.
func record(random *rand.Rand) (key, value []byte) {
	key = make([]byte, 1+random.Intn(20))
	if random.Intn(50) == 0 {
		key = make([]byte, 1+random.Intn(6000))
	}
	random.Read(key)
	value = make([]byte, random.Intn(120))
	switch random.Intn(60) {
	case 0:
		value = make([]byte, random.Intn(60_000))
	case 1, 2, 3:
		value = make([]byte, random.Intn(6000))
	}
	random.Read(value)
	return key, value
}

func names[T any](values map[string]T) []string {
	all := make([]string, 0, len(values))
	for name := range values {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}

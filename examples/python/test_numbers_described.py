import unittest

from numbers_described import describe


class Described(unittest.TestCase):
    def test_of_several(self):
        found = describe([1, 2, 3, 4])
        self.assertEqual((found["count"], found["mean"], found["median"]), (4, 2.5, 2.5))
        self.assertEqual(found["quartiles"], [1.75, 2.5, 3.25])

    def test_one_number_has_no_spread(self):
        self.assertNotIn("stdev", describe([7]))


if __name__ == "__main__":
    unittest.main()

//! Who is in which group: the same for publishers, subscribers and the judge.

use crate::flags::Shape;
use crate::judge::Members;
use crate::random::Random;
use crate::records::Audience;

/// Members of one group in the mixed shape.
const GROUP_MEMBERS: u32 = 20;

pub(crate) struct World {
    shape: Shape,
    subscribers: u32,
    /// Groups of many; group `g` has every subscriber `s` with `s mod groups == g`.
    groups: u32,
    members: Vec<Vec<u32>>,
}

impl World {
    pub(crate) fn new(shape: Shape, subscribers: u32) -> Self {
        let groups = match shape {
            Shape::Mixed => subscribers.div_ceil(GROUP_MEMBERS),
            Shape::Group => 1,
            Shape::Single => 0,
        };
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); (groups + subscribers) as usize];
        for subscriber in 0..subscribers {
            if groups > 0 {
                members[(subscriber % groups) as usize].push(subscriber);
            }
            members[(groups + subscriber) as usize].push(subscriber);
        }
        Self { shape, subscribers, groups, members }
    }

    pub(crate) fn name(audience: Audience) -> String {
        format!("g{audience}")
    }

    /// The groups a subscriber joins, by name.
    pub(crate) fn groups_of(&self, subscriber: u32) -> Vec<String> {
        let own = (self.shape != Shape::Group).then_some(self.groups + subscriber);
        let shared = (self.groups > 0).then(|| subscriber % self.groups);
        shared.into_iter().chain(own).map(Self::name).collect()
    }

    /// Whom the next message is for.
    pub(crate) fn draw(&self, random: &mut Random) -> Audience {
        let to_many = match self.shape {
            Shape::Mixed => random.one_in(2),
            Shape::Group => true,
            Shape::Single => false,
        };
        let draw = |random: &mut Random, bound: u32| {
            u32::try_from(random.below(u64::from(bound))).unwrap_or_default()
        };
        if to_many {
            draw(random, self.groups)
        } else {
            self.groups + draw(random, self.subscribers)
        }
    }
}

impl Members for World {
    fn of(&self, audience: Audience) -> &[u32] {
        self.members.get(audience as usize).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_joins_exactly_the_groups_it_is_a_member_of() {
        for shape in [Shape::Mixed, Shape::Group, Shape::Single] {
            let world = World::new(shape, 50);
            let mut random = Random::new(1, 1);
            for _ in 0..200 {
                let audience = world.draw(&mut random);
                assert!(!world.of(audience).is_empty());
                for member in world.of(audience) {
                    assert!(world.groups_of(*member).contains(&World::name(audience)));
                }
            }
        }
    }
}
